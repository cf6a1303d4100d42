"""Words of other libraries for what the manifest names differently, for hints in error messages."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final


def folded(name: object) -> str:
    """Return a name without the differences of camelCase, snake_case and kebab-case."""
    return str(name).casefold().replace("_", "").replace("-", "")


def _by_word(words_of: Mapping[str, str]) -> Mapping[str, str]:
    """Invert ours -> words of others, separated by spaces."""
    return MappingProxyType({word: ours for ours, words in words_of.items() for word in words.split()})


def _pod_words(template: str) -> dict[str, str]:
    """Return the hints for fields of a pod and its container, which belong into a template."""
    return {
        f"{template}, as in a pod": "image resources tolerations volumes volumemounts env affinity "
        "containers securitycontext runtimeclassname priorityclassname limits requests cpu memory command",
    }


_SOURCE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "spec.data.train.path": "root dir directory folder url file files datapath pathpattern glob location",
        "spec.data.train.format": "type kind",
        "spec.data.train.labelColumn": "label target y targetcolumn labelcol labels labelkey",
        "spec.data.train.inputColumns": "x features featurecolumns columns featurecols",
        "spec.data.inputs, for a model with several; spec.data.train.inputColumns for one": "inputs",
        "spec.data.train.inputColumn": "imagecolumn imagekey inputkey",
        "spec.data.train.options": "args kwargs params",
        "spec.data.transforms": "transforms transform",
    }
)
"""The same for data.train and data.evaluation, which `our_field` puts in place of data.train."""


FIELDS: Final = _by_word(
    {
        "spec.optimizer.learningRate": "lr baselr initlr initiallr maxlr learnrate",
        "spec.optimizer.weightDecay": "wd l2 decay l2penalty",
        "spec.optimizer.name": "optim opt optimizername optimizertype",
        "spec.optimizer.nesterov": "usenesterov",
        "spec.optimizer.alpha": "rho",
        "spec.optimizer.clipNorm": "maxgradnorm gradientclipval gradclip clipgrad gradclipnorm clipgradnorm "
        "gradientclipping gradientclip globalclipnorm maxnorm",
        "spec.optimizer.clipValue": "gradclipvalue clipgradvalue",
        "spec.optimizer.accumulate": "accumulategradbatches gradaccum gradientaccumulationsteps "
        "gradaccumulation gradaccumsteps accumulationsteps gradientaccumulation accumsteps accumulation",
        "spec.optimizer.schedule": "scheduler lrscheduler lrschedule lrschedulertype lrschedulername sched "
        "lrpolicy",
        "spec.optimizer.schedule.factor": "lrgamma gammalr",
        "spec.optimizer.schedule.everyEpochs": "stepsize lrstepsize milestones decayepochs",
        "spec.optimizer.schedule.warmupEpochs": "warmup warmupsteps numwarmupsteps warmupratio "
        "lrwarmupepochs pctstart",
        "spec.epochs": "numepochs maxepochs nepochs numtrainepochs nbepochs rounds numrounds nrounds",
        "spec.sampling.globalBatchSize": "batchsize trainbatchsize perdevicetrainbatchsize minibatchsize bs",
        "spec.sampling.seed": "randomseed randomstate manualseed",
        "spec.loss": "criterion lossfn lossfunction lossname objective",
        "spec.lossOptions.labelSmoothing": "smoothing labelsmoothingfactor smoothingfactor",
        "spec.lossOptions.classWeights": "classweight weights weight",
        "spec.lossOptions.positiveWeight": "posweight scaleposweight",
        "spec.lossOptions.focalGamma": "gamma focal focalloss",
        "spec.lossOptions.delta": "huberdelta",
        "spec.ema.decay": "emadecay modelema modelemadecay useema",
        "spec.model.architecture": "arch backbone modelname",
        "spec.model.options, the arguments of the architecture": "dropout dropoutrate numclasses nclasses "
        "hiddensize numlayers modelargs modelkwargs",
        "spec.model.cutLayer": "splitlayer splitat cutat splitpoint cutpoint",
        "spec.model.initialWeights.path": "pretrained usepretrained pretrainedweights "
        "checkpointpath ckptpath statedict finetune",
        "spec.model.freeze": "frozen freezelayers frozenlayers freezebackbone trainable requiresgrad",
        "spec.data.train": "dataset datasets traindata traindataset trainset",
        "spec.data.train.path": "datapath datadir dataroot trainpath traindir",
        "spec.data.evaluation": "val validation eval test valid testdata valdata evaldata validationdata "
        "testset valset testdataset valdataset validationset evaldataset",
        "spec.data.evaluation, a dataset of its own; training data are not divided": "valsplit testsplit "
        "testsize valsize validationsplit valfraction validationfraction testfraction",
        "spec.data.transforms": "augment augmentation augmentations preprocess preprocessing transform "
        "traintransforms",
        "spec.data.transforms, with {name: Resize, size: [height, width]}": "imagesize imgsize resize",
        "spec.data.transforms, with {name: Normalize, mean: […], std: […]}, or spec.data.standardize": "mean "
        "std normalize normalization normalise imagemean imagestd",
        "spec.data.standardize": "standardization standardscaler scaler zscore",
        "spec.data.length": "maxlength maxlen maxseqlength maxseqlen seqlen seqlength sequencelength padto "
        "truncation padding modelmaxlength",
        "spec.data.inputType, for the numbers of tokens; texts are tokenized beforehand": "tokenizer "
        "tokenize vocabsize vocab",
        "spec.data.inputs": "inputnames modelinputs namedinputs multiinput featurenames",
        "spec.data.classes": "classnames labelnames labelmap id2label label2id classtoidx",
        "spec.data.onDamagedSample": "skipbad skipdamaged skipcorrupt skiperrors skipinvalid ignoreerrors "
        "ondamaged onerror",
        "spec.data.layout": "channelslast channelsfirst dataformat dimorder",
        "spec.evaluateEveryEpochs": "evalevery evaluateevery evalinterval evalfrequency evalfreq "
        "checkvaleverynepoch valevery evaluationinterval validateevery valinterval",
        "spec.checkpoint.everySteps": "saveevery savesteps checkpointevery checkpointinterval saveinterval "
        "savefreq savefrequency checkpointfrequency everyntrainsteps",
        "spec.checkpoint.keep": "savetotallimit maxtokeep keeplast keepcheckpoints savetopk nsaved",
        "spec.faultTolerance.minAvailableClients": "minclients minavailable minfitclients quorum",
        "spec.backoffLimit": "retries maxretries numretries maxrestarts",
        "spec.ttlSecondsAfterFinished": "ttl ttlseconds",
        "spec.activeDeadlineSeconds": "maxtime maxruntime timelimit deadline",
        "spec.transport.compression": "quantization quantize compress",
        "spec.transport.tls": "ssl mtls encryption usetls usessl",
        "spec.server.gpus, in a cluster; other commands have the option --device": "device devices "
        "cuda usecuda usegpu accelerator mps gpu numgpus gpuids cudavisibledevices",
        "spec.clients.nodeSelector, which selects the nodes of the clients; `pslgs run` has the option "
        "--clients": "numclients nclients clientcount numberofclients nodes",
        "spec.faultTolerance.clientTimeoutSeconds": "timeout timeoutseconds",
        "spec.clients.template, as in a pod": "image",
        "spec.data.partition.concentration": "dirichletalpha dirichletconcentration noniid",
        "spec.metric": "monitor metricforbestmodel bestmetric evalmetric metrics scoring metricname "
        "checkpointmetric",
        "spec.earlyStopping": "earlystop earlystoppingcallback earlystopper",
        "spec.earlyStopping.patience": "patience earlystoppingpatience earlystoppingrounds patienceepochs "
        "niternochange",
        "spec.earlyStopping.minDelta": "mindelta earlystoppingthreshold earlystoppingdelta",
        "spec.checkpoint.best": "savebest savebestonly loadbestmodelatend restorebestweights keepbest "
        "bestonly checkpointbest",
        "spec.precision": "amp fp16 bf16 float16 bfloat16 mixedprecision useamp autocast halfprecision dtype",
    }
)
"""Word of others -> path of our field.

A word that is folded like one of ours needs no entry, unless there are several such fields.
"""

IN_PARTS: Final = MappingProxyType(
    {
        part: _by_word(words)
        for part, words in {
            "spec.optimizer.schedule": {
                "spec.optimizer.schedule.factor": "gamma",
                "spec.optimizer.schedule.name": "type kind policy",
            },
            "spec.optimizer": {
                "spec.optimizer.name": "type kind",
                "spec.optimizer.betas": "beta1 beta2",
                "spec.optimizer.schedule": "lrdecay",
            },
            "spec.model": {
                "spec.model.architecture": "name type kind model builder entrypoint class",
                "spec.model.options": "args kwargs params arguments parameters config hyperparameters",
                "spec.model.cutLayer": "cut split layer",
                "spec.model.initialWeights.path": "weights checkpoint weightspath",
                "spec.model.inputShape": "imagesize imgsize inputsize shape",
            },
            "spec.data.inputs": {
                "spec.data.inputs.type": "dtype inputtype kind",
                "spec.data.inputs.shape": "size inputshape",
                "spec.data.inputs.columns": "column inputcolumns inputcolumn features",
            },
            "spec.data.train": _SOURCE,
            "spec.data.evaluation": _SOURCE,
            "spec.data": {
                "spec.data.train.path": "path root dir directory folder files location",
                "spec.data.train.format": "format type kind",
                "spec.data.train.labelColumn": "label target labels labelcol labelcolumn",
                "spec.data.train.inputColumns": "columns features featurecolumns inputcolumns",
                "spec.data.maxSamplesPerClient": "maxsamples",
                "spec.data.inputType": "dtype",
            },
            "spec.data.partition": {
                "spec.data.partition.concentration": "alpha beta",
                "spec.data.partition.clients": "numclients nclients count",
                "spec.data.partition.scheme": "type kind name method strategy",
            },
            "spec.sampling": {
                "spec.sampling.strategy": "name type kind method",
                "spec.sampling.latentDirichlet.concentration": "alpha",
            },
            "spec.checkpoint": {
                "spec.checkpoint.everySteps": "every interval frequency everyepochs steps",
                "spec.checkpoint.storage": "dir path folder storageclass volume claim pvc",
            },
            "spec.faultTolerance": {
                "spec.faultTolerance.clientTimeoutSeconds": "timeout timeoutseconds",
                "spec.faultTolerance.onLostClient": "onfailure onerror",
            },
            "spec.clients": _pod_words("spec.clients.template")
            | {
                "spec.clients.perNode": "count number replicas clientspernode",
                "spec.faultTolerance.clientTimeoutSeconds": "timeout timeoutseconds",
                "spec.clients.nodeSelector": "selector labels nodes",
                "spec.clients.template, as resource limits of the container; pslgs reserves none": "gpu gpus "
                "numgpus device",
            },
            "spec.server": _pod_words("spec.server.template")
            | {
                "spec.server.template.spec": "nodeselector",
                "spec.server.service.type": "servicetype type",
            },
        }.items()
    }
)
"""Part of the manifest -> words that mean something else there, or are too general elsewhere."""

WITHOUT_FIELD: Final = _by_word(
    {
        "clients load samples in as many threads as they have cores": "numworkers workers nworkers "
        "dataloaderworkers dataloadernumworkers pinmemory prefetchfactor persistentworkers numthreads "
        "threads",
        "every epoch draws each sample once, in random order": "shuffle replacement withreplacement "
        "sampler datasampler randomsampler",
        "the batches of an epoch differ by at most one sample, and none is left out": "droplast "
        "dataloaderdroplast",
        "each global batch is one step on all of its samples; there are no local epochs or batches": ""
        "localepochs localsteps localbatchsize clientepochs",
        "every client that is available takes part": "fractionfit fractionevaluate clientfraction "
        "participation samplefraction clientsperround",
        "jobs in a cluster continue from their last checkpoint; `pslgs run` has the option --resume": ""
        "resume resumefrom resumefromcheckpoint restart autoresume",
        "`pslgs run` has the option --output; in a cluster the model is in spec.checkpoint.storage": "output "
        "outputdir logdir savedir rundir savepath workdir defaultrootdir exportdir",
    }
)
"""Word of others for which the manifest needs no field -> why."""

_ANYWHERE_BUT: Final = frozenset(
    {"type", "kind", "name", "path", "size", "labels", "alpha", "options", "format"}
)
"""Names of fields that say little without the part of the manifest that they belong to."""


def says_little(name: object) -> bool:
    """Return whether a name means something else in each part of the manifest."""
    return folded(name) in _ANYWHERE_BUT


VALUES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "focal": "CrossEntropy or BinaryCrossEntropy, with lossOptions.focalGamma",
        "focalloss": "CrossEntropy or BinaryCrossEntropy, with lossOptions.focalGamma",
        "ce": "CrossEntropy",
        "nll": "CrossEntropy",
        "nllloss": "CrossEntropy",
        "bce": "BinaryCrossEntropy",
        "bcewithlogits": "BinaryCrossEntropy",
        "bcewithlogitsloss": "BinaryCrossEntropy",
        "mse": "MeanSquaredError",
        "mseloss": "MeanSquaredError",
        "l2": "MeanSquaredError",
        "smoothl1": "Huber",
        "smoothl1loss": "Huber",
        "plateau": "ReduceOnPlateau",
        "reducelronplateau": "ReduceOnPlateau",
        "onecyclelr": "OneCycle",
        "cosineannealing": "Cosine",
        "cosineannealinglr": "Cosine",
        "exponential": "Step, with everyEpochs: 1",
        "exponentiallr": "Step, with everyEpochs: 1",
        "linear": "Constant, with warmupEpochs",
        "nesterov": "SGD, with nesterov: true",
        "acc": "Accuracy",
        "valacc": "Accuracy",
        "valaccuracy": "Accuracy",
        "evalaccuracy": "Accuracy",
        "top1": "Accuracy",
        "valloss": "Loss",
        "evalloss": "Loss",
        "bacc": "BalancedAccuracy",
        "uar": "BalancedAccuracy",
        "precision": "MacroPrecision",
        "precisionmacro": "MacroPrecision",
        "recall": "MacroRecall",
        "recallmacro": "MacroRecall",
        "sensitivity": "MacroRecall",
        "f1": "MacroF1",
        "f1score": "MacroF1",
        "f1macro": "MacroF1",
        "valf1": "MacroF1",
        "auc": "AUROC",
        "rocauc": "AUROC",
        "valauc": "AUROC",
        "rocaucscore": "AUROC",
        "ap": "AveragePrecision",
        "map": "AveragePrecision",
        "auprc": "AveragePrecision",
        "prauc": "AveragePrecision",
        "averageprecisionscore": "AveragePrecision",
        "hamming": "LabelAccuracy",
        "hammingaccuracy": "LabelAccuracy",
        "exactmatch": "SubsetAccuracy",
        "exactmatchratio": "SubsetAccuracy",
        "mae": "MeanAbsoluteError",
        "rmse": "RootMeanSquaredError",
        "r2score": "R2",
        "rsquared": "R2",
        "bf16": "BFloat16",
        "bf16mixed": "BFloat16",
        "fp32": "Full",
        "fp16": "Float16",
        "half": "Float16",
        "npz": "NumPy",
        "npy": "NumPy",
        "arrays": "NumPy",
        "images": "ImageFolder",
        "folder": "ImageFolder",
        "dicom": "ImageFolder",
        "nifti": "ImageFolder",
        "table": "CSV",
        "tsv": "CSV",
        "sklearn": "ScikitLearn",
        "mtls": "Mutual",
        "iid": "IID",
        "dirichlet": "ExtendedDirichlet",
        "noniid": "ExtendedDirichlet",
        "ignore": "Skip",
        "zscore": "PerFeature or PerChannel",
        "standard": "PerFeature or PerChannel",
        "tokens": "Integer",
        "int64": "Integer",
        "long": "Integer",
        "float32": "Full",
    }
)
"""Value of others -> ours, where a field has a list of values that ours is one of."""


def our_field(name: object, location: str) -> str | None:
    """Return the path of the field that a word of other libraries stands for; None if it is not known.

    A comma and an explanation may follow the path.

    Args:
        name: The unknown name.
        location: Path of the part of the manifest that it was found in.
    """
    word = folded(name)
    part = re.sub(r"\[\d+\]", "", location)  # an entry of a list
    found = IN_PARTS.get(part, {}).get(word) or FIELDS.get(word)
    if found is not None and location == "spec.data.evaluation":
        return found.replace("spec.data.train.", f"{location}.")
    return found


def why_no_field(name: object) -> str | None:
    """Return why the manifest has no field for a word of other libraries; None if it is not known."""
    return WITHOUT_FIELD.get(folded(name))


def our_value(value: object, allowed: Iterable[str]) -> str | None:
    """Return what to give for a value of other libraries, if it stands for one of the ``allowed`` values."""
    ours = VALUES.get(folded(value), "")
    return ours if any(ours.startswith(each) for each in allowed) else None
