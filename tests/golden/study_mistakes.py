"""Mistakes in a study file, in an override and in the environment."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

from tests.golden.mistake import PLAN, Mistake, edit, sets

MARKER = "format_version: 1\nstudy: tiny\nscale: laptop\n"
"""What makes a folder one of phasesweep's results."""


def results_hold(name: str, content: str) -> Mistake:
    """Return the mistake of running where a folder of results already holds the file `name`."""

    def prepare(folder: Path) -> None:
        path = folder / "results" / "tiny" / "laptop" / name
        path.parent.mkdir(parents=True)
        path.write_text(content, encoding="utf-8")

    return Mistake(arguments=("run", "tiny.yaml"), prepare=prepare)


def results_are_a_file(folder: Path) -> None:
    (folder / "results").write_text("a file", encoding="utf-8")


def study_is_a_folder(folder: Path) -> None:
    (folder / "folder.yaml").mkdir()


def journal_is_damaged(folder: Path) -> None:
    journal = folder / "results" / "tiny" / "laptop" / "journal"
    journal.mkdir(parents=True)
    (journal.parent / "study.yaml").write_text(MARKER, encoding="utf-8")
    (journal / "a.jsonl").write_text("half a li\n{}\n", encoding="utf-8")


IN_THE_FILE = {
    "misspelt top-level key": edit("seeds:", "seds:"),
    "misspelt optimiser key": edit("learning_rate", "lerning_rate"),
    "misspelt architecture key": edit("phase_layers", "phase_layer"),
    "misspelt task key": edit("max_bytes", "max_byte"),
    "misspelt arm key": edit("role: baseline", "rle: baseline"),
    "misspelt budget key": edit("report_every", "report_evry"),
    "unknown role": edit("role: baseline", "role: base"),
    "unknown architecture": edit("name: kuramoto", "name: kuramotto"),
    "unknown task": edit("name: language", "name: langage"),
    "architecture without a name": edit("{name: kuramoto, phase", "{phase"),
    "wrong type": edit("d_model: 16", "d_model: wide"),
    "a bool is no number": edit("batch_size: 4", "batch_size: true"),
    "a word for a list": edit("phase_layers: [0]", "phase_layers: first"),
    "out of range": edit("steps: 20", "steps: -1"),
    "not a number": edit("learning_rate: 3e-3", "learning_rate: .nan"),
    "warm-up longer than the budget": edit("warmup_steps: 3", "warmup_steps: 20"),
    "heads do not divide": edit("num_heads: 2", "num_heads: 3"),
    "layer that does not exist": edit("phase_layers: [0]", "phase_layers: [5]"),
    "layer twice": edit("phase_layers: [0]", "phase_layers: [0, 0]"),
    "unknown choice": edit("num_oscillators: 4", "sign: atractive"),
    "key twice": edit("seeds: 2", "seeds: 2\nseeds: 3"),
    "not YAML": edit("seeds: 2", "seeds: [2"),
    "not a mapping": edit("format_version: 1\n", "- format_version: 1\n"),
    "tabs": edit("  architecture: {d", "\tarchitecture: {d"),
    "no seeds": edit("seeds: 2", "seeds: 0"),
    "seed twice": edit("seeds: 2", "seeds: [1, 1]"),
    "seeds as a word": edit("seeds: 2", "seeds: five"),
    "no baseline": edit("role: baseline, ", ""),
    "two baselines": edit("kuramoto: {architecture", "kuramoto: {role: baseline, architecture"),
    "unknown metric": edit("seeds: 2", "seeds: 2\nmetric: val/bits_per_chr"),
    "metric of a split that is not there": edit("seeds: 2", "seeds: 2\nmetric: test/bits_per_char"),
    "contrast of an unknown arm": edit(
        "scales:", "contrasts:\n- {arm: kuramto, against: transformer, meaning: phases}\nscales:"
    ),
    "fields of an unknown architecture": edit("arms:", "architectures: {kuramotto: {num_steps: 2}}\narms:"),
    "scale of an unknown arm": edit("  smoke: {}", "  smoke: {}\n  gpu: {arms: {kuramto: {}}}"),
    "unknown scale in the file": edit("  smoke: {}", "  smok: {}"),
    "missing key": edit("title: Two arms for tests\n", ""),
    "study name with a blank": edit("study: tiny", "study: my study"),
    "newer format": edit("format_version: 1", "format_version: 7"),
    "key that is no word": edit("seeds: 2", "? [seeds]\n: 2"),
    "control character": edit("Two arms", "Two \x07 arms"),
    "stride longer than the context": edit("context_length: 16", "context_length: 16, stride: 32"),
    "arm without a name": edit("  kuramoto: {", '  "": {'),
    "arm with the name of a path": edit("  kuramoto: {", "  ../../x: {"),
    "claim with the name of a path": edit("scales:", "claims: {../x: {}}\nscales:"),
    "text too short": edit("max_bytes: 20000", "max_bytes: 18"),
}

BOMB = "title: &a [x, x, x, x, x, x, x, x]\nsource: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]\n"
    for old, new in zip("bcdef", "cdefg", strict=True)
)

IN_YAML = {
    "tag that its value refuses": edit("steps: 20", "steps: !!int abc"),
    "tag that is not known": edit("steps: 20", "steps: !!timestamp 2026-01-01"),
    "tag of Python": edit("steps: 20", "steps: !!python/object:os.system x"),
    "merge of a number": edit("optimizer: {", "optimizer: {<<: 3, "),
    "merge of a list of numbers": edit("optimizer: {", "optimizer: {<<: [1, 2], "),
    "integer of a hundred digits": edit("steps: 20", f"steps: {'9' * 100}"),
    "leading zero": edit("steps: 20", "steps: 020"),
    "minutes for a number": edit("steps: 20", "steps: 1:30"),
    "word for a switch": edit("phase_layers: [0]", "phase_layers: [0], causal: no"),
    "number beyond all numbers": edit("learning_rate: 3e-3", "learning_rate: 1e999"),
    "aliases that expand": edit("title: Two arms for tests\n", BOMB),
    "alias of itself": edit("phase_layers: [0]", "phase_layers: &x [*x]"),
    "half a character": edit("title: Two arms for tests", 'title: "\\ud800"'),
    "zero byte": edit("corpus: synthetic", 'corpus: "file:a\\0b"'),
    "two studies in one file": edit("seeds: 2", "---\nseeds: 2"),
    "nested too deeply": edit("phase_layers: [0]", f"phase_layers: {'[' * 50}0{']' * 50}"),
}


TASK = "task: {name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}"


def asks(text: str) -> Mistake:
    """Return the mistake of such a long-context task."""
    return edit(TASK, f"task: {{{text}}}")


IN_LONG_CONTEXTS = {
    "depth in percent": asks("name: niah, depths: [0.0, 50.0]"),
    "needle that does not fit": asks("name: niah, lengths: [128, 512]"),
    "needle that gives nothing away": asks("name: niah, needle: The magic number is 42."),
    "haystack with a tokenizer to be learnt": asks("name: niah, tokenizer: bpe"),
    "chat without a template": asks("name: niah, chat: true"),
    "unknown task of RULER": asks("name: ruler, tasks: [niah_single_2]"),
    "too short for a task of RULER": asks("name: ruler, tasks: [niah_multikey_3], lengths: [512]"),
    "file of InfiniteBench that is missing": asks("name: infinitebench, files: {kv_retrieval: nowhere.jsonl}"),
    "harness on a task without text": asks("name: lm_eval, trained_on: {name: recall}"),
    "length of a haystack beyond all time": asks("name: niah, lengths: [512, 4000000000]"),
}


def claim(text: str) -> Mistake:
    """Return the mistake of declaring this claim."""
    return edit("scales:", f"claims:\n  K1: {{{text}}}\nscales:")


def grid(text: str) -> Mistake:
    """Return the mistake of declaring this grid; it takes the place of the arm `kuramoto`."""
    return edit(ARM, f"grid:\n  architecture: {{name: kuramoto}}\n{indent(text, '  ')}")


ARM = "  kuramoto: {architecture: {name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}}\n"
BETTER = (
    "statement: Phases help, source: PhaseGPT, settled_at: laptop, metric: val/bits_per_char, against: transformer"
)
COUPLINGS = "fields: {architecture.coupling: {values: [0.5, 1.0]}}\n"

IN_CLAIMS = {
    "claim of an unknown kind": claim(f"{BETTER}, kind: superior, arm: kuramoto"),
    "claim with an unknown key": claim(f"{BETTER}, kind: superiority, arm: kuramoto, controll: transformer"),
    "claim without a statement": claim("source: PhaseGPT, settled_at: laptop, kind: superiority, arm: kuramoto"),
    "claim without an arm": claim(f"{BETTER}, kind: superiority"),
    "claim of an unknown arm": claim(f"{BETTER}, kind: superiority, arm: kuramotto"),
    "claim of an arm about itself": claim(f"{BETTER}, kind: superiority, arm: transformer"),
    "claim by an unknown metric": claim(
        f"{BETTER.replace('per_char', 'per_chr')}, kind: superiority, arm: kuramoto"
    ),
    "claim at an unknown scale": claim(f"{BETTER.replace('laptop', 'gpu')}, kind: superiority, arm: kuramoto"),
    "claim without a margin": claim(f"{BETTER}, kind: non_inferiority, arm: kuramoto"),
    "claim with a negative margin": claim(
        f"{BETTER}, kind: non_inferiority, arm: kuramoto, margin: -1.0, margin_unit: absolute"
    ),
}

IN_GRIDS = {
    "grid of an unknown design": grid(f"design: factorial\n{COUPLINGS}"),
    "grid of no field": grid("fields: {coupling: {values: [0.5, 1.0]}}\n"),
    "grid of an unknown field": grid("fields: {architecture.couplng: {values: [0.5, 1.0]}}\n"),
    "grid of equal values": grid("fields: {architecture.coupling: {values: [1, 1.0]}}\n"),
    "grid of a bad value": grid("fields: {architecture.coupling: {values: [0.5, -1.0]}}\n"),
    "grid with too few labels": grid("fields: {architecture.coupling: {values: [0.5, 1.0], labels: [K]}}\n"),
    "grid that forbids everything": grid(
        f"{COUPLINGS}forbid: [{{when: architecture.coupling > 0, reason: too strong}}]\n"
    ),
    "grid with a mark that is nowhere": grid(f"{COUPLINGS}marks: [{{when: architecture.sign == 1, note: odd}}]\n"),
    "grid with a name that is none": grid(f"name: '*'\n{COUPLINGS}"),
    "grid of a field without a name": grid("fields: {architecture.: {values: [0.5, 1.0]}}\n"),
    "grid of a mapping": grid("fields: {architecture.coupling: {values: [{a: 1}, 0.5], labels: [a, b]}}\n"),
    "grid of an architecture that is a list": grid(
        "fields: {architecture.name: {values: [[kuramoto], transformer], labels: [a, b]}}\n"
    ),
    "grid of too many arms": grid(
        "fields:\n" + "".join(f"  task.field_{letter}: {{values: {list(range(22))}}}\n" for letter in "abc")
    ),
    "grid of too many replicates": Mistake(
        replace=(
            ARM,
            "grid:\n  name: g\n  architecture: {name: transformer}\n  fields:\n"
            f"    optimizer.warmup_steps: {{values: {list(range(20))}}}\n"
            f"    optimizer.weight_decay: {{values: {[step / 100 for step in range(20)]}}}\n",
        ),
        arguments=(*PLAN, "--set", "seeds=10000"),
    ),
    "fraction of too many arms": grid(
        "design: fractional\nresolution: 30\nfields:\n"
        + "".join(f"  task.field_{letter}: {{values: [0, 1]}}\n" for letter in "abcdefghijklmnopqrst")
    ),
    "grid with a broken condition": grid(f"{COUPLINGS}forbid: [{{when: architecture.coupling >, reason: why}}]\n"),
}

IN_OVERRIDES = {
    "set without value": sets("budget.steps"),
    "set without key": sets("=3"),
    "set of an unknown section": sets("budgt.steps=3"),
    "set of an unknown field": sets("budget.step=3"),
    "set of a bad value": sets("budget.steps=-1"),
    "set that is not YAML": sets("phase_layers=[0"),
    "set that an arm masks": sets("architecture.name=transformer"),
    "set of an unknown arm": sets("arms.kuramto.budget.steps=3"),
    "set of an arm as a whole": sets("arms.kuramoto=transformer"),
    "set of an unknown resource": sets("resources.cpus=2"),
    "set of bad seeds": sets("seeds=0"),
    "more CPUs than there are": Mistake(
        arguments=sets("resources.cpus_per_trial=4096").arguments, hides_numbers=True
    ),
    "more memory than there is": Mistake(
        arguments=sets("architecture.d_model=65536", "budget.batch_size=1024").arguments, hides_numbers=True
    ),
    "more GPUs than there are": sets("resources.gpus_per_trial=1.0"),
    "more GPUs than there are, with a limit": sets(
        "resources.gpus_per_trial=by_memory", "resources.max_trials_per_gpu=4"
    ),
    "more than one GPU": sets("resources.gpus_per_trial=2.0"),
    "missing corpus file": sets("task.corpus=file:nowhere.txt"),
    "unknown corpus": sets("task.corpus=tiny_shakespere"),
    "hub repository without a name": sets("task.corpus=hub:"),
    "folder of texts that is not there": sets("task.corpus=hub:./nowhere"),
    "haystack that is not there": edit(
        "{name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}",
        "{name: niah, haystack: 'file:nowhere.txt'}",
    ),
    "tokenizer that is not there": sets("task.tokenizer=hf:./nowhere"),
    "backbone that is not there": edit(
        "{name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}",
        "{name: resonant, backbone: 'hf:./nowhere'}",
    ),
    "start from no arm": sets("arms.kuramoto.resume_from.source=arm:trnsformer"),
    "start from no configuration": sets("arms.kuramoto.resume_from.source=id:abc"),
    "start from no file": sets("arms.kuramoto.resume_from.source=weights.pt"),
    "start from a file without weights": sets("arms.kuramoto.resume_from.source=tiny.yaml"),
    "parts of a batch that compute something else": sets("task.name=lines", "resources.micro_batch_size=2"),
    "workers that do not divide the batch": sets("resources.workers=3"),
    "one worker with a share of the model": sets("resources.sharding=fsdp"),
    "no time for a report": sets("resources.report_timeout_seconds=0"),
    "parameter budget too small": sets("architecture.parameter_budget=10"),
    "set of an architecture that is a list": sets("arms.kuramoto.architecture.name=[1]"),
    "set with a leading zero": sets("budget.steps=020"),
}


def larger(setting: str) -> Mistake:
    """Return the mistake of asking for more than any machine holds; the answer says what this one has."""
    return Mistake(arguments=sets(setting).arguments, hides_numbers=True)


IN_SIZES = {
    "width beyond all memory": larger("architecture.d_model=10000000000000"),
    "layers beyond all time": sets("architecture.num_layers=3000000000"),
    "steps of integration beyond all time": sets("arms.kuramoto.architecture.num_steps=3000000000"),
    "oscillators beyond all memory": larger("arms.kuramoto.architecture.num_oscillators=3000000000"),
    "parameters beyond all memory": larger("architecture.parameter_budget=9000000000000000000"),
    "batch beyond all memory": larger("budget.batch_size=3000000000000"),
    "micro-batch beyond all memory": larger("resources.micro_batch_size=3000000000000"),
    "context beyond all memory": larger("task.context_length=4000000000000"),
    "text beyond all time": sets("task.max_bytes=4000000000000"),
    "vocabulary that is no whole number": sets("task.bpe_vocab_size=1e30"),
    "optimiser steps beyond all time": sets("budget.steps=1000000000000"),
    "scored sequences beyond all time": sets("budget.eval_sequences=1000000000000"),
    "warm-up beyond all time": sets("budget.steps=0", "optimizer.warmup_steps=1000000000000"),
    "feed-forward layers beyond all memory": larger("architecture.ffn_multiplier=1e12"),
    "seeds beyond all time": sets("seeds=10000000000"),
    "seeds beyond all time, in the file": edit("seeds: 2", "seeds: 10000000000"),
}

IN_PLACES = {
    "scale the study lacks": Mistake(arguments=("plan", "tiny.yaml", "--scale", "gpu")),
    "unknown scale": Mistake(arguments=("run", "tiny.yaml", "--scale", "laptp")),
    "unknown study": Mistake(arguments=("run", "quickstrt")),
    "missing study file": Mistake(arguments=("run", "nowhere.yaml")),
    "misspelt study file": Mistake(arguments=("run", "tinny.yaml")),
    "file named as a study of the library": Mistake(arguments=("run", "quickstart.yaml")),
    "study that is a folder": Mistake(arguments=("run", "folder.yaml"), prepare=study_is_a_folder),
    "data folder that is not there": Mistake(environment={"PHASESWEEP_DATA": "/nowhere/at/all"}),
    "results on a remote store": Mistake(environment={"PHASESWEEP_RESULTS": "s3://bucket/results"}),
    "results in a file": Mistake(arguments=("run", "tiny.yaml"), prepare=results_are_a_file),
    "results of other people": results_hold("thesis.txt", "precious"),
    "another study.yaml": results_hold("study.yaml", "hello: world\n"),
    "results of a newer version": results_hold("study.yaml", "format_version: 9\nstudy: tiny\n"),
    "results of another study": results_hold("study.yaml", MARKER.replace("tiny", "other")),
    "results with a broken study.yaml": results_hold("study.yaml", "["),
    "damaged journal": Mistake(arguments=("results", "tiny.yaml"), prepare=journal_is_damaged),
}

MISTAKES: dict[str, Mistake] = {
    **IN_THE_FILE,
    **IN_LONG_CONTEXTS,
    **IN_YAML,
    **IN_CLAIMS,
    **IN_GRIDS,
    **IN_OVERRIDES,
    **IN_SIZES,
    **IN_PLACES,
}
