"""Files of laboratories, read and written: study folders, MAF, VCF, plasma and other tables."""
