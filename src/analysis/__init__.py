"""Analysis of PEARL: early FDG-PET response against progression-free and overall survival."""
