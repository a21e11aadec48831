"""Results in a notebook: `analysis.load` gives a pandas frame, here of a committed journal.

Run it in the repository's folder: python docs/examples/analyse.py
"""

import analysis

JOURNAL = "docs/results/kuramoto_phase_a.jsonl"
METRIC = "val/bits_per_char"

# A row a replicate: identity, settings in which arms differ, the last report, and how it was computed.
runs = analysis.load(JOURNAL)
print(runs[["arm", "seed", "status", METRIC]].head(3).to_string(index=False))

# Failures are rows, too: look at the statuses before any mean.
assert set(runs["status"]) == {"finished"}

# Pair by seed before you compare: seed 42 means the same batches in every arm.
wide = runs.pivot(index="seed", columns="arm", values=METRIC)
difference = wide["L7_N32_K1"] - wide["baseline"]
print(f"\nL7_N32_K1 − baseline, by seed:\n{difference.round(4).to_string()}")
print(f"mean {difference.mean():+.4f}, standard error {difference.sem():.4f}, n = {len(difference)}")

# A row a report: the metric over training.
curves = analysis.load(JOURNAL, "curves")
over_training = curves.groupby(["arm", "step"])["val_subset/bits_per_char"].mean().unstack("arm")
print(f"\nover training:\n{over_training[['baseline', 'L7_N32_K1']].tail(3).round(3).to_string()}")

# A row an arm, with the intervals and readings that `phasesweep results` prints.
arms = analysis.load(JOURNAL, "configurations").set_index("arm")
interval = arms.loc["L7_N32_K1", [f"{METRIC}.delta_ci_low", f"{METRIC}.delta_ci_high"]]
print(f"\n95 % interval of the difference: {interval.round(4).tolist()}")
