"""Privacy: what the raw files say about persons, and that none of it leaves.

- input: `collect` (one pass over the raw folder: identifying values, one row a series), `elements` and
  `tolerant` (what a DICOM file holds), `found` (one value of it), `decode` (character sets), `values` (kinds,
  when two are the same, how a date may be written), `plainfiles` (tables and other text), `series` (what a
  series says about itself)
- `audit`: damage and residue that de-identification left in the series; `audit_rules`, `audit_codes`
- output: `gate` (nothing passes that holds what came in), `search` (rules over a vocabulary), `vocabulary`
  (how values are searched for), `identifiers` (the values of a study, kept in the restricted zone),
  `restricted` (``data/derived``); what text a file holds: `formats`, `markup`, `notebook`, `pictures`,
  `documents`. ``python -m analysis.privacy`` searches folders
"""
