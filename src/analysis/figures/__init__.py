"""Figures: each takes ready frames or estimates and returns a matplotlib Figure; none fits a model or saves.

One module a family: `flow`, `kaplan_meier`, `waterfall`, `swimmer`, `spider`, `forest`, `multiverse`,
`pilot`, `pet`; of biomarkers `oncoprint`, `volcano`, `marker_forest`, `plasma`, `pet_ctdna`, `lead_time`,
`burden`, `lesion_progression`.
Beside every ``plot_*`` stand ``caption_*`` and ``alt_*``, computed from the same data.
"""
