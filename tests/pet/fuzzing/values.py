"""What mutations choose from: elements by what they are, and odd values for each kind."""

# fmt: off
TRACER = [
    "RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime", "RadionuclideTotalDose",
    "RadionuclideHalfLife",
]
NUMBERS = [
    "PatientWeight", "PatientSize", "RescaleSlope", "RescaleIntercept", "FrameReferenceTime",
    "ActualFrameDuration", "SliceThickness", "RadionuclideTotalDose", "RadionuclideHalfLife",
]
TIMES = [
    "SeriesTime", "AcquisitionTime", "RadiopharmaceuticalStartTime",
]
DATES = [
    "SeriesDate", "AcquisitionDate", "StudyDate",
]
CODED = [
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientSex", "Manufacturer", "ImageType",
    "SeriesType", "Modality",
]
GEOMETRY = [
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "NumberOfSlices",
]
PIXELS = [
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "NumberOfFrames", "PhotometricInterpretation", "PlanarConfiguration",
]
IDENTITY = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID",
    "PatientID",
]
ALL = [
    "PatientWeight", "PatientSize", "RescaleSlope", "RescaleIntercept", "FrameReferenceTime",
    "ActualFrameDuration", "SliceThickness", "RadionuclideTotalDose", "RadionuclideHalfLife", "SeriesTime",
    "AcquisitionTime", "RadiopharmaceuticalStartTime", "SeriesDate", "AcquisitionDate", "StudyDate",
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientSex", "Manufacturer", "ImageType",
    "SeriesType", "Modality", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness", "NumberOfSlices", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation",
    "PlanarConfiguration", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID",
    "FrameOfReferenceUID", "PatientID", "RadiopharmaceuticalStartDateTime", "PixelData",
    "RadiopharmaceuticalInformationSequence", "RadionuclideCodeSequence", "InstanceNumber",
]
ABSURD = [
    "0", "-1", "nan", "inf", "-inf", "1e300", "1e-300", "1e999", "-70", "70 kg", "7,0", "NaN ", "1e4",
    "0.0", "+", "9999999999999999", "1\\2", "\\", "0x46", "  ", "\0\0", "12.5.3", "1E", "ä", "70\x00",
]
TIMES_ODD = [
    "000000", "235959.999999", "240000", "11:00:00", "1100", "11", "110000.5", "110000.0000001", "110060",
    "256161", "110000+0100", "noon", "-10000", "", "11 00 00", "110000.", "113000", "090000", "1100000",
]
DATES_ODD = [
    "19000101", "00010101", "20250230", "2025.01.01", "2025-01-01", "20250102", "20241231", "19600101",
    "21250101", "202501", "01012025", "", "xx", "20250101120000", "99999999",
]
DATETIMES = [
    "20250101100000", "20250101100000.000000+0100", "20250101100000-0500", "20250101", "20250101240000",
    "19000101100000", "20250102100000", "20241231100000", "2025010110", "20250101103000", "20250101120000",
    "20250101093000", "soon", "", "00010101000000.00", "99991231235959", "20250101100000.0000001",
    "20250101100060", "20250101100000+9999",
]
VALUES = {
    "Units": ["BQML", "GML", "CM2ML", "CNTS", "PROPCNTS", "CPS", "1CM", "bqml", "BQ/ML", "SUV", "BQML\\GML", "kBq/ml", "GML "],
    "SUVType": ["BW", "BSA", "LBM", "LBMJAMES128", "LBMJANMA", "IBW", "lbm", "XX"],
    "DecayCorrection": ["START", "ADMIN", "NONE", "start", "END", "START\\NONE"],
    "CorrectedImage": ["ATTN", "DECY\\ATTN", "DECAY\\ATTN", "DECY", "NORM\\DTIM\\SCAT\\RAN\\DECY", "attn\\decy", "ATTN\\ATTN"],
    "PatientSex": ["M", "F", "O", "U", "D", "male"],
    "Manufacturer": ["SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "IMAGE CO", "", "GE"],
    "ImageType": ["ORIGINAL\\PRIMARY\\MIP", "DERIVED\\SECONDARY", "ORIGINAL\\PRIMARY\\NAC", "DERIVED", "\\\\\\"],
    "SeriesType": ["REPROJECTION", "WHOLE BODY\\REPROJECTION", "DYNAMIC\\IMAGE", "GATED\\IMAGE"],
    "Modality": ["PT", "CT", "NM"],
    "SOPClassUID": ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.130", "1.2.3", "junk"],
}
SYNTAXES = [
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.50", "1.2.3.4", "", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.57",
]
# Text that would tell who the patient is, were it to show up in a message.
SECRET = "NEMO^NOBODY 19481231"
# fmt: on
