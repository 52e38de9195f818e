"""Sweeps, transfer, the data that they train on, and models written by hand (P08xx)."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class NoRange(DiagnosticRule):
    """A sweep needs to know where to search: a hyper says so in the spec, or the command line does.

    hyper lr = 3e-3 in log [1e-4, 1e-1]

    abcparam sweep gpt.param --over lr=log:1e-4:1e-1
    """

    code = "P0801"
    message = "nothing to sweep: {what} has no search range"
    label = "where to search?"
    help = "write `hyper lr = 3e-3 in log [1e-4, 1e-1]`, or say `--over lr=log:1e-4:1e-1`"


class BadAxis(DiagnosticRule):
    """What `--over` says of a name: values, or an interval with its ends.

    --over width=64,128,256 lr=log:1e-4:1e-1 scale=0.5:2:4
    """

    code = "P0802"
    message = "`--over {text}` is not understood: {problem}"
    help = (
        "write NAME, NAME=V,V,…, NAME=LOW:HIGH or NAME=log:LOW:HIGH, with :POINTS for a grid; "
        "sizes, steps and batch are listed, whole numbers from 1"
    )


class DataDoesNotFit(DiagnosticRule):
    """The model's inputs or outputs are not what the data has.

    A text is read byte by byte: the model needs one integer input of at least 256 classes, and
    gives a score for each class at each position. Digits have 64 pixels and 10 classes. Images are
    brought to the size of the model's input `[channels, rows, columns]`, and need an output for
    each class.
    """

    code = "P0803"
    message = "the model cannot be trained on {data}"
    label = "needs {wanted}"
    help = "choose other data with `--data`, or other sizes with `--set`"


class NoData(DiagnosticRule):
    """`--data` names a text file, a folder of images, `digits`, or a function of
    yours: `train.py:batches`, or `package.module:batches` of a module that Python finds.

    A folder of images has a folder for each class, and in those images (PNG, JPEG, …); Pillow reads
    them (`pip install 'abcparam[examples]'`).

    The function is called with the model's `Config`, a batch size and a seed, and gives an iterator
    of `(inputs, targets)`, each a tensor or a tuple of them.
    """

    code = "P0804"
    message = "there is no data `{reference}`: {problem}"
    help = "name a text file, a folder of folders of images, `digits`, or `FILE.py:FUNCTION`"


class NotMaximal(DiagnosticRule):
    """Hyperparameters found on a small model serve a large one only under a maximal update
    parametrization. Of this spec the calculus says otherwise.

    `abcparam check` says why, and what to change.
    """

    code = "P0805"
    message = "nothing is transferred: the spec is {verdict}, not maximal-update"
    help = "`abcparam check` says why; `--anyway` transfers all the same"


class OtherSpec(DiagnosticRule):
    """The results of a sweep are of another spec than the one that they should be used for."""

    code = "P0806"
    message = "the results in `{path}` are not of this spec: {problem}"
    help = "run `abcparam sweep` of this spec with `--format json`"


class NothingConverged(DiagnosticRule):
    """Every trial diverged: its loss became infinite or no number."""

    code = "P0807"
    message = "all {count} trials diverged: there is no best one"
    help = "search at smaller learning rates: `--over lr=log:1e-6:1e-3`"


class NoStatedParametrization(DiagnosticRule):
    """Another parametrization can take the place of a `parametrization` that the spec states; this
    spec states exponents at its tensors alone.
    """

    code = "P0808"
    message = "there is no `parametrization` that `{form}` could replace"
    help = "state exponents by role in a `parametrization`, not at tensors"


class NoSize(DiagnosticRule):
    """A dim that goes to infinity has no `base`, so nothing says how large a model to train."""

    code = "P0809"
    message = "the dim `{name}` has no size"
    label = "how large?"
    help = "say `--set {name}=256`, `--over {name}=128,256`, or write a `base`"


class SizesDoNotFit(DiagnosticRule):
    """The emitted `Config` refuses the sizes or hypers of a trial."""

    code = "P0810"
    message = "no model can be made: {problem}"
    help = "choose other values with `--set`, `--over` or `--proxy`"


class NoSchedule(DiagnosticRule):
    """A schedule is named, and may warm up over a part of the steps.

    abcparam sweep gpt.param --over lr schedule=constant,cosine,linear:0.1
    """

    code = "P0811"
    message = "there is no schedule `{text}`"
    help = "NAME or NAME:WARMUP, a part of the steps below 1; names are {known}"


class NoHeldOut(DiagnosticRule):
    """The best trial can be chosen by its loss on held-out data where there are some.

    A text keeps its last tenth, digits a fifth; a function `batches` of a module has a function
    `batches_held_out` beside it, called with the `Config` and a batch size. A synthetic task needs
    none: its batches are always fresh.
    """

    code = "P0812"
    message = "{data} has no held-out part"
    help = "choose by the training loss, or name other data with `--data`"


class NotInstalled(DiagnosticRule):
    """Something that is asked for needs a package that is no part of a plain installation.

    `check`, `compile`, `fmt`, `solve`, `derive`, `diff` and `map` need none; what trains, or reads
    a model of yours, needs torch (`pip install 'abcparam[torch]'`), and `lsp` needs pygls
    (`pip install 'abcparam[lsp]'`).
    """

    code = "P0813"
    message = "{what} needs {package}: {problem}"
    help = "pip install '{install}'"


class NoStore(DiagnosticRule):
    """Optuna keeps its studies in a database, an SQLite file or one that many machines share.

    abcparam sweep gpt.param --trials 100 --sampler tpe --storage postgresql+psycopg://host/studies

    The driver of PostgreSQL that such an address names is installed by
    `pip install 'abcparam[postgres]'`. A database that is lost, or locked by another program,
    in the middle of a sweep is waited for, for two minutes; a line on stderr says so.
    """

    code = "P0814"
    message = "cannot keep studies in `{url}`: {problem}"
    help = (
        "name a database as SQLAlchemy does, `sqlite:///FILE`, or with `abcparam[postgres]` "
        "`postgresql+psycopg://USER@HOST/NAME`"
    )


class NoCluster(DiagnosticRule):
    """Ray runs trials on a cluster, which is there already, or is started here."""

    code = "P0815"
    message = "there is no Ray cluster at `{address}`: {problem}"
    help = (
        "`ray start --head` starts one; `--ray local` uses this machine. Where Ray speaks of a "
        "token, set `RAY_AUTH_MODE=token` here and for each `ray start`"
    )


class NoRanks(DiagnosticRule):
    """With `--data-parallel` the processes that `torchrun` starts, its ranks, train each trial
    together: every batch is shared among them.

    torchrun --nproc-per-node 4 -m abcparam sweep gpt.param --data-parallel
    """

    code = "P0816"
    message = "{what} has no ranks that could train a trial together"
    help = "start it by `torchrun --nproc-per-node N -m abcparam …`, or leave the option out"


class UnequalShares(DiagnosticRule):
    """Ranks that train together take equal shares of each batch: only then is the mean of their
    losses that of the batch, and the mean of their gradients its gradient.

    What counts are examples, the first axis of each tensor, and the targets that `cross_entropy`
    does not ignore (those that are not -100).
    """

    code = "P0817"
    message = "{what} of a batch cannot be shared by {ranks} ranks alike"
    help = "choose another `--batch`, a multiple of {ranks}, or other data"


class SeesBatch(DiagnosticRule):
    """Batch norm divides by what it finds in the whole batch. A rank that trains with others has a
    share of it, which has other means, so the losses would be those of another model.
    """

    code = "P0818"
    message = "`{operation}` needs the whole batch, of which each rank has a share"
    label = "depends on the other examples"
    help = "leave `--data-parallel` out: the ranks then share the trials"


class RanksDiffer(DiagnosticRule):
    """Ranks that train together run the same version of abcparam, on the same spec, the same data
    and the same kind of device. On several machines each has its own files.
    """

    code = "P0819"
    message = "the ranks do not train the same: their specs, data or versions differ"
    help = "give each machine the same files, and install the same version"


class NoModule(DiagnosticRule):
    """`--module` names a Python file and the class in it that is measured in place of the emitted
    model. It is called with the emitted `Config`.

    abcparam coord-check mlp.param --module mine.py:MLP
    """

    code = "P0820"
    message = "there is no module `{module}`: {problem}"
    help = "name a Python file and a class in it: `--module mine.py:MLP`"


class ModuleRaises(DiagnosticRule):
    """A module that was written by hand raises where it is imported, made or run.

    It is called as the emitted one is: `Class(config)`, with the emitted `Config`; then with the
    spec's inputs, in double precision. `make_optimizer(model)` of the same file gives an optimizer,
    or a list of them.
    """

    code = "P0821"
    message = "`{module}` fails: {problem}"
    help = "the class takes the emitted `Config`, and its model the spec's inputs, as float64"


class ParametersDiffer(DiagnosticRule):
    """The parameters of a module that was written by hand are told apart by their names, which are
    those of the emitted model's `state_dict`, with `.weight` or without, or of the spec's tensors.

    `abcparam compile` writes the emitted model, whose names and shapes are wanted.
    """

    code = "P0822"
    message = "the parameters of `{module}` are not those of the spec: {problem}"
    help = "name and shape them as the emitted model does, or change the spec"


class OutputsDiffer(DiagnosticRule):
    """A module that was written by hand gives what the spec's `forward` returns, in that order."""

    code = "P0823"
    message = "the outputs of `{module}` are of shape {found}, the spec's of {wanted}"
    help = "return what the spec returns: a tensor, or a tuple of them"


class NotMaximalModel(DiagnosticRule):
    """Hyperparameters found on a small model serve a large one only under a maximal update
    parametrization. Of this model, trained as it is, the calculus says otherwise.

    `abcparam audit` says why. With `--adapted` the model is initialized and trained as its adapter
    says, and the adapter is written with what was found.
    """

    code = "P0824"
    message = "nothing is transferred: the model as it is is {verdict}, not maximal-update"
    help = "`--adapted` tunes it as `abcparam adapt` would have it; `--anyway` as it is"


class NotAdaptable(DiagnosticRule):
    """No initial scales, learning rates and factors of modules make the model maximal-update, so
    there is no adapter that it could be trained by.

    `abcparam adapt` says what is in the way.
    """

    code = "P0825"
    message = "`{name}` cannot be adapted without a change of its code"
    help = "`abcparam adapt` says what is in the way; without `--adapted` it is trained as it is"


class WorkersDied(DiagnosticRule):
    """A worker that dies in the middle of a trial is no loss: its trial goes to another. Where four
    die at the same trials, or nobody is left who could train, a sweep ends; finished trials are
    kept, and the same command goes on with the rest.
    """

    code = "P0826"
    message = "workers died at their trials ({count}): {problem}"
    help = "see what kills them, such as a lack of memory, or start the cluster anew"


class NotSharded(DiagnosticRule):
    """With `--sharded` every rank has a part of each parameter, and makes the update of that part
    alone: an optimizer has to go entry by entry, as Adam does and Muon does not. All ranks gather
    the same parameters at the same time, so that none may choose experts by its own examples.
    """

    code = "P0827"
    message = "{what} takes whole parameters, of which each rank has a part"
    help = "train with `--data-parallel`, or by a script of your own around the emitted module"


class BadJobs(DiagnosticRule):
    """Jobs of SLURM are made by submitit, whose settings are `NAME=VALUE`, with commas between:
    `slurm_partition`, `timeout_min`, `cpus_per_task`, `mem_gb`, …; `jobs` is how many are queued at
    a time. With `local` among them jobs are processes of this machine.

    abcparam sweep gpt.param --slurm slurm_partition=gpu,timeout_min=120,jobs=16
    """

    code = "P0828"
    message = "no jobs can be made with `--slurm {settings}`: {problem}"
    help = "write `NAME=VALUE,…` as submitit has them, on a machine that has `sbatch`; or `local`"


class AllFrozen(DiagnosticRule):
    """Every tensor is `frozen`: no rate makes a difference, and nothing changes in training."""

    code = "P0829"
    message = "nothing is trained: every tensor is `frozen`"
    help = "leave `frozen` out of the tensors, or roles, that are to be trained"


class DataFails(DiagnosticRule):
    """A function that `--data` names raises in the middle of its batches, or gives what the model
    cannot take: other inputs, shapes, kinds of numbers or classes than the spec's.

    Trials that had finished are kept: the same command goes on behind them.
    """

    code = "P0830"
    message = "the data `{data}` {problem}"
    help = "mend the function and start the same command again: finished trials are kept"


class DoesNotFit(DiagnosticRule):
    """A trial by itself needs more memory than its device has. Trials that do not fit together are
    trained by halves first, down to one.

    Trials that had finished are kept: the same command goes on behind them.
    """

    code = "P0831"
    message = "a trial with {trial} does not fit into the memory of `{device}`: {problem}"
    help = "take smaller sizes or batches, `--sharded`, or another `--device`"
