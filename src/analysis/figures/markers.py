"""The figures of notebook 05 under one name: each has its picture, its caption and its description."""

from analysis.figures.burden import alt_burden, caption_burden, plot_burden
from analysis.figures.lead_time import alt_lead_times, caption_lead_times, plot_lead_times
from analysis.figures.lesion_progression import (
    alt_lesion_progression,
    caption_lesion_progression,
    plot_lesion_progression,
)
from analysis.figures.marker_forest import alt_marker_forest, caption_marker_forest, plot_marker_forest
from analysis.figures.oncoprint import alt_oncoprint, caption_oncoprint, plot_oncoprint
from analysis.figures.pet_ctdna import (
    alt_alluvial,
    alt_pet_by_ctdna,
    caption_alluvial,
    caption_pet_by_ctdna,
    plot_alluvial,
    plot_pet_by_ctdna,
)
from analysis.figures.plasma import alt_trajectories, caption_trajectories, plot_trajectories
from analysis.figures.volcano import alt_volcano, caption_volcano, plot_volcano

__all__ = [
    "alt_alluvial",
    "alt_burden",
    "alt_lead_times",
    "alt_lesion_progression",
    "alt_marker_forest",
    "alt_oncoprint",
    "alt_pet_by_ctdna",
    "alt_trajectories",
    "alt_volcano",
    "caption_alluvial",
    "caption_burden",
    "caption_lead_times",
    "caption_lesion_progression",
    "caption_marker_forest",
    "caption_oncoprint",
    "caption_pet_by_ctdna",
    "caption_trajectories",
    "caption_volcano",
    "plot_alluvial",
    "plot_burden",
    "plot_lead_times",
    "plot_lesion_progression",
    "plot_marker_forest",
    "plot_oncoprint",
    "plot_pet_by_ctdna",
    "plot_trajectories",
    "plot_volcano",
]
