"""Manifests that are wrong in one way each; the parser and the API server both refuse them."""

from typing import NamedTuple

IID = "spec.data.partition={scheme: IID, clients: 4}"
CUSTOM = "spec.data={train: {format: Custom, entrypoint: 'a:b'}}"
SEVERAL = "spec.data.inputs=[{name: image}, {name: age}]"
DIRICHLET = "spec.data.partition={scheme: ExtendedDirichlet, clients: 4}"


class Bad(NamedTuple):
    """Settings that make the valid manifest a bad one, and what is said about it."""

    name: str
    settings: list[str]
    path: str
    words: str


UNKNOWN = [
    Bad("typo in a field", ["spec.epoch=3"], "spec.epoch", "is unknown; did you mean epochs?"),
    Bad(
        "snake case",
        ["spec.optimizer.learning_rate=0.1"],
        "spec.optimizer.learning_rate",
        "did you mean learningRate?",
    ),
    Bad(
        "typo in a list",
        ["spec.data.partition={scheme: IID, clients: 2, client: 3}"],
        "spec.data.partition.client",
        "did you mean clients?",
    ),
    Bad(
        "nothing alike",
        ["spec.transport.zzz=1"],
        "spec.transport.zzz",
        "is unknown; the known fields are compression, tls",
    ),
    Bad(
        "a field of the weights",
        ["spec.model.initialWeights={path: a, exclude: [b]}"],
        "spec.model.initialWeights.exclude",
        "did you mean except?",
    ),
    Bad("at the top", ["specs={}"], "specs", "did you mean spec?"),
    *(
        Bad(f"{path} of others", [f"spec.{path}={value}"], f"spec.{path}", f"is unknown; give spec.{ours}")
        for path, value, ours in (
            ("lr", "0.1", "optimizer.learningRate"),
            ("optimizer.lr", "0.1", "optimizer.learningRate"),
            ("batch_size", "64", "sampling.globalBatchSize"),
            ("num_epochs", "3", "epochs"),
            ("gradient_clip_val", "1", "optimizer.clipNorm"),
            ("optimizer.max_grad_norm", "1", "optimizer.clipNorm"),
            ("gradient_accumulation_steps", "4", "optimizer.accumulate"),
            ("optimizer.schedule.warmup_steps", "4", "optimizer.schedule.warmupEpochs"),
            ("optimizer.schedule.gamma", "0.1", "optimizer.schedule.factor"),
            ("lr_scheduler", "{}", "optimizer.schedule"),
            ("class_weight", "[1, 2]", "lossOptions.classWeights"),
            ("lossOptions.gamma", "2", "lossOptions.focalGamma"),
            ("lossOptions.pos_weight", "2", "lossOptions.positiveWeight"),
            ("ema_decay", "0.9", "ema.decay"),
            ("fp16", "true", "precision"),
            ("amp", "true", "precision"),
            ("monitor", "f1", "metric"),
            ("earlyStopping.monitor", "f1", "metric"),
            ("early_stopping_patience", "3", "earlyStopping.patience"),
            ("patience", "3", "earlyStopping.patience"),
            ("save_best_only", "true", "checkpoint.best"),
            ("checkpoint.save_total_limit", "1", "checkpoint.keep"),
        )
    ),
    Bad("early_stopping of others", ["spec.early_stopping={}"], "spec.early_stopping", "mean earlyStopping?"),
    *(
        Bad(f"{path} in another place", [f"spec.{path}=1"], f"spec.{path}", f"here; give spec.{ours}")
        for path, ours in (
            ("label_smoothing", "lossOptions.labelSmoothing"),
            ("learningRate", "optimizer.learningRate"),
        )
    ),
    Bad(
        "a container beside the template's spec",
        ["spec.clients.template={containers: []}"],
        "spec.clients.template.containers",
        "is unknown; the known fields are metadata, spec",
    ),
]

MISSING = [
    Bad(
        "no epochs",
        ["spec.epochs="],
        "spec.epochs",
        "is missing; give it (number of passes over the training data)",
    ),
    Bad("no model", ["spec.model="], "spec.model", "is missing; give it (the network and its cut layer)"),
    Bad("no name", ["metadata.name="], "metadata.name", "is missing; give it (name of the job, a DNS label"),
    Bad("no spec", ["spec="], "spec", "is missing"),
    Bad("no cut layer", ["spec.model.cutLayer="], "spec.model.cutLayer", "is missing; name the module"),
    Bad(
        "no transform's name",
        ["spec.data.transforms=[{size: 3}]"],
        "spec.data.transforms[0].name",
        "is missing; give",
    ),
    Bad(
        "no Parquet path",
        ["spec.data.train={format: Parquet}"],
        "spec.data.train.path",
        "is missing; the format Parquet needs it",
    ),
    Bad(
        "no Torchvision path",
        ["spec.data.train={format: Torchvision, name: CIFAR10}"],
        "spec.data.train.path",
        "is missing; the format Torchvision needs it",
    ),
    Bad(
        "no dataset's name",
        ["spec.data.train.name="],
        "spec.data.train.name",
        "the format ScikitLearn needs it",
    ),
    Bad(
        "no entrypoint",
        ["spec.data.train={format: Custom}"],
        "spec.data.train.entrypoint",
        "the format Custom needs it",
    ),
    Bad(
        "no clients in a partition",
        ["spec.data.partition.scheme=IID"],
        "spec.data.partition.clients",
        "is missing; give it (number of clients)",
    ),
    Bad(
        "no size of a claim",
        ["spec.checkpoint.storage={}"],
        "spec.checkpoint.storage.size",
        "is missing; give the size of the new claim, or the claimName",
    ),
]

WRONG_TYPE = [
    Bad("text for an integer", ["spec.epochs=abc"], "spec.epochs", "is 'abc', must be an integer"),
    Bad("quoted integer", ["spec.epochs='3'"], "spec.epochs", "is '3', must be an integer"),
    Bad("fraction for an integer", ["spec.epochs=1.5"], "spec.epochs", "is 1.5, must be an integer"),
    Bad("truth for an integer", ["spec.epochs=true"], "spec.epochs", "is true, must be an integer"),
    Bad("list for an integer", ["spec.epochs=[1]"], "spec.epochs", "is a list, must be an integer"),
    Bad(
        "text for a number",
        ["spec.optimizer.learningRate=fast"],
        "spec.optimizer.learningRate",
        "is 'fast', must be a number",
    ),
    Bad(
        "not a number",
        ["spec.optimizer.learningRate=.nan"],
        "spec.optimizer.learningRate",
        "is nan, must be a finite number",
    ),
    Bad("text for a truth", ["spec.suspend=maybe"], "spec.suspend", "is 'maybe', must be true or false"),
    Bad("number for text", ["spec.model.cutLayer=1"], "spec.model.cutLayer", "is 1, must be text (quote it)"),
    Bad(
        "truth for text",
        ["spec.clients.nodeSelector={edge: true}"],
        "spec.clients.nodeSelector.edge",
        "is true, must be text (quote it)",
    ),
    Bad(
        "mapping for a list",
        ["spec.data.transforms={name: Resize}"],
        "spec.data.transforms",
        "is a mapping, must be a list",
    ),
    Bad(
        "list for a template",
        ["spec.server.template.spec=[]"],
        "spec.server.template.spec",
        "is a list, must be a mapping of names to values",
    ),
    Bad("text for fields", ["spec.optimizer=SGD"], "spec.optimizer", "is 'SGD', must be a mapping of fields"),
    Bad(
        "list for names",
        ["spec.model.options=[1]"],
        "spec.model.options",
        "is a list, must be a mapping of names to values",
    ),
    Bad(
        "text in a list",
        ["spec.model.inputShape=[3, x]"],
        "spec.model.inputShape[1]",
        "is 'x', must be an integer",
    ),
    Bad(
        "truth for a count of clients",
        ["spec.faultTolerance.minAvailableClients=true"],
        "spec.faultTolerance.minAvailableClients",
        "must be a number of clients",
    ),
]

OUT_OF_RANGE = [
    Bad("no epoch", ["spec.epochs=0"], "spec.epochs", "is 0, must be at least 1"),
    Bad("too many epochs", ["spec.epochs=99999999999"], "spec.epochs", "must be at most 2147483647"),
    Bad(
        "learning rate 0",
        ["spec.optimizer.learningRate=0"],
        "spec.optimizer.learningRate",
        "is 0, must be above 0",
    ),
    Bad("momentum 1", ["spec.optimizer.momentum=1"], "spec.optimizer.momentum", "is 1, must be below 1"),
    Bad(
        "negative decay",
        ["spec.optimizer.weightDecay=-1"],
        "spec.optimizer.weightDecay",
        "must be at least 0",
    ),
    Bad(
        "empty batch",
        ["spec.sampling.globalBatchSize=0"],
        "spec.sampling.globalBatchSize",
        "must be at least 1",
    ),
    Bad("negative seed", ["spec.sampling.seed=-1"], "spec.sampling.seed", "must be at least 0"),
    Bad("too large a seed", [f"spec.sampling.seed={2**63}"], "spec.sampling.seed", "must be at most"),
    Bad(
        "no client",
        ["spec.data.partition={scheme: IID, clients: 0}"],
        "spec.data.partition.clients",
        "must be at least 1",
    ),
    Bad("empty shape", ["spec.model.inputShape=[]"], "spec.model.inputShape", "must have at least 1 entries"),
    Bad(
        "one beta",
        ["spec.optimizer={name: Adam, betas: [0.9]}"],
        "spec.optimizer.betas",
        "must have at least 2 entries",
    ),
    Bad(
        "three betas",
        ["spec.optimizer={name: Adam, betas: [0.9, 0.9, 0.9]}"],
        "spec.optimizer.betas",
        "must have at most 2 entries",
    ),
    Bad(
        "a bad beta",
        ["spec.optimizer={name: Adam, betas: [0.9, 1]}"],
        "spec.optimizer.betas[1]",
        "must be below 1",
    ),
    Bad(
        "too many transforms",
        [f"spec.data.transforms=[{'{name: ToImage}, ' * 65}]"],
        "spec.data.transforms",
        "must have at most 64 entries",
    ),
    Bad("empty text", ["spec.model.architecture=''"], "spec.model.architecture", "is '', must not be empty"),
    Bad(
        "above 100 %",
        ["spec.faultTolerance.minAvailableClients=120%"],
        "spec.faultTolerance.minAvailableClients",
        "is '120%', must be a number of clients, at least 1, or a percentage from '1%' to '100%'",
    ),
    Bad(
        "no quorum",
        ["spec.faultTolerance.minAvailableClients=0"],
        "spec.faultTolerance.minAvailableClients",
        "must be a number of clients, at least 1",
    ),
]

BAD_TEXT = [
    Bad(
        "a port in an address",
        ["spec.server.service.address=edge:7443"],
        "spec.server.service.address",
        "must be a host name or an IP address, without scheme, brackets and port",
    ),
    Bad("long name", [f"metadata.name={'a' * 41}"], "metadata.name", "must have at most 40 characters"),
    Bad(
        "long path",
        [f"spec.model.initialWeights={{path: {'a' * 1025}}}"],
        "spec.model.initialWeights.path",
        "at most 1024",
    ),
    Bad("capital in a name", ["metadata.name=Digits"], "metadata.name", "is 'Digits', must hold only a-z"),
    Bad(
        "dash at the end",
        ["metadata.name=digits-"],
        "metadata.name",
        "start with a letter and end with a letter or digit",
    ),
    Bad("digit at the start", ["metadata.name='0-digits'"], "metadata.name", "start with a letter"),
    Bad("line break at the end", ['metadata.name="digits\\n"'], "metadata.name", "must hold only a-z"),
    Bad(
        "quantity",
        ["spec.checkpoint.storage.size=ten"],
        "spec.checkpoint.storage.size",
        "must be a Kubernetes quantity above 0, such as 10Gi",
    ),
    Bad(
        "a volume of no size",
        ["spec.checkpoint.storage.size=0Gi"],
        "spec.checkpoint.storage.size",
        "must be a Kubernetes quantity above 0, such as 10Gi",
    ),
    Bad(
        "entrypoint of data",
        ["spec.data.train={format: Custom, entrypoint: scans}"],
        "spec.data.train.entrypoint",
        "is 'scans', must read package.module:function",
    ),
    Bad(
        "entrypoint of a model",
        ["spec.model.architecture=a b:c"],
        "spec.model.architecture",
        "must read package.module:function",
    ),
    Bad(
        "transform's name",
        ["spec.data.transforms=[{name: v2.Resize}]"],
        "spec.data.transforms[0].name",
        "must be a plain name",
    ),
    Bad(
        "placeholder",
        ["spec.data.train={format: NumPy, path: '/data/{node}.npz'}"],
        "spec.data.train.path",
        "the only placeholder is {client}",
    ),
]

CHOICES = [
    *(
        Bad(f"{value} of others", [f"spec.{path}={value}"], f"spec.{path}", f"; give {ours}")
        for path, value, ours in (
            ("loss", "focal", "CrossEntropy or BinaryCrossEntropy, with lossOptions.focalGamma"),
            ("loss", "BCEWithLogitsLoss", "BinaryCrossEntropy"),
            ("loss", "mse", "MeanSquaredError"),
            ("loss", "SmoothL1", "Huber"),
            ("optimizer.schedule.name", "ReduceLROnPlateau", "ReduceOnPlateau"),
            ("optimizer.schedule.name", "exponential", "Step, with everyEpochs: 1"),
            ("precision.server", "bf16", "BFloat16"),
            ("metric", "f1", "MacroF1"),
            ("metric", "f1_macro", "MacroF1"),
            ("metric", "auc", "AUROC"),
            ("metric", "roc_auc", "AUROC"),
            ("metric", "val_loss", "Loss"),
            ("metric", "acc", "Accuracy"),
            ("metric", "mae", "MeanAbsoluteError"),
            ("metric", "rmse", "RootMeanSquaredError"),
        )
    ),
    Bad(
        "strategy",
        ["spec.sampling.strategy=global"],
        "spec.sampling.strategy",
        "is 'global', must be one of Global, FixedLocal, FixedProportionalLocal, LatentDirichlet; "
        "did you mean Global?",
    ),
    Bad("optimizer", ["spec.optimizer.name=adamw"], "spec.optimizer.name", "did you mean AdamW?"),
    Bad("number", ["spec.loss=3"], "spec.loss", "is 3, must be one of CrossEntropy"),
    Bad(
        "compression",
        ["spec.transport.compression=gzip"],
        "spec.transport.compression",
        "must be one of None, Float16, BFloat16, Int8",
    ),
]

TOGETHER = [
    Bad(
        "more GPUs than a node has",
        ["spec.server.gpus=17"],
        "spec.server.gpus",
        "is 17, but a server uses GPUs of one node; give at most 16",
    ),
    *(
        Bad(
            f"a reserved key in {path}",
            [f"spec.{path}={{pslgs.dev/job: x}}"],
            f"spec.{path}",
            "has a key under pslgs.dev/, which only the operator sets",
        )
        for path in (
            "childMetadata.labels",
            "childMetadata.annotations",
            "server.service.annotations",
            "server.template.metadata.labels",
            "clients.template.metadata.annotations",
        )
    ),
    Bad(
        "a GPU of Kubernetes' own",
        ["spec.server.gpuResource=node.kubernetes.io/gpu"],
        "spec.server.gpuResource",
        "is 'node.kubernetes.io/gpu', which is no extended resource",
    ),
    Bad(
        "name of Parquet",
        ["spec.data.train={format: Parquet, path: x, name: digits}"],
        "spec.data.train.name",
        "does not apply to the format Parquet",
    ),
    Bad(
        "entrypoint of ScikitLearn",
        ["spec.data.train.entrypoint=scans:dataset"],
        "spec.data.train.entrypoint",
        "does not apply to the format ScikitLearn",
    ),
    Bad(
        "label column of Torchvision",
        ["spec.data.train={format: Torchvision, name: A, path: x, labelColumn: a}"],
        "spec.data.train.labelColumn",
        "does not apply to the format Torchvision",
    ),
    Bad(
        "all of Torchvision, to measure on",
        ["spec.data.evaluation={format: Torchvision, name: A, path: x, split: All}"],
        "spec.data.evaluation.split",
        "must be Train or Test",
    ),
    Bad(
        "a window without width",
        ["spec.data.window=[40, 1]"],
        "spec.data.window",
        "must be a center and a width above 1, such as [40, 400]",
    ),
    Bad(
        "a window beside a range",
        ["spec.data.window=[40, 400]", "spec.data.range=[0, 1]"],
        "spec.data.window",
        "is given beside range; remove either",
    ),
    Bad(
        "a range of grey values from high to low",
        ["spec.data.range=[4095, 0]"],
        "spec.data.range",
        "must be two numbers, the lower one first, such as [0, 4095]",
    ),
    Bad(
        "a column of inputs beside several",
        ["spec.data.train={format: Parquet, path: x, inputColumn: a, inputColumns: [b]}"],
        "spec.data.train.inputColumn",
        "is given beside inputColumns; remove either",
    ),
    Bad(
        "a column of labels beside several",
        ["spec.data.train={format: CSV, path: x, inputColumns: [a], labelColumn: b, labelColumns: [c]}"],
        "spec.data.train.labelColumn",
        "is given beside labelColumns; remove either",
    ),
    Bad(
        "CSV without columns",
        ["spec.data.train={format: CSV, path: x}"],
        "spec.data.train.inputColumns",
        "is missing; the format CSV needs it",
    ),
    Bad(
        "columns of inputs in arrays",
        ["spec.data.train={format: NumPy, path: x, inputColumns: [b]}"],
        "spec.data.train.inputColumns",
        "does not apply to the format NumPy; remove it",
    ),
    *(
        Bad(
            f"classes of data and of data.{name}",
            [f"spec.data.{name}={{format: NumPy, path: x, classes: [a, b]}}", "spec.data.classes=[a, b]"],
            f"spec.data.{name}.classes",
            "cannot be given together with data.classes; remove it",
        )
        for name in ("train", "evaluation")
    ),
    Bad(
        "columns of arrays",
        ["spec.data.train={format: NumPy, path: x, labelColumns: [b]}"],
        "spec.data.train.labelColumns",
        "does not apply to the format NumPy; remove it",
    ),
    *(
        Bad(
            f"{field} of images",
            ["spec.data.train={format: ImageFolder, path: x}", f"spec.data.{field}={value}"],
            f"spec.data.{field}",
            "does not apply to the format ImageFolder; remove it",
        )
        for field, value in {"layout": "HWC", "inputType": "Integer", "length": "8"}.items()
    ),
    Bad(
        "transforms of an evaluation of integers",
        [
            "spec.data.train={format: NumPy, path: x}",
            "spec.data.inputType=Integer",
            "spec.data.evaluation={format: NumPy, path: y, transforms: []}",
        ],
        "spec.data.evaluation.transforms",
        "does not apply to inputs of the type Integer; remove it",
    ),
    *(
        Bad(
            f"{field} of integers",
            [
                "spec.data.train={format: NumPy, path: x}",
                "spec.data.inputType=Integer",
                f"spec.data.{field}={value}",
            ],
            f"spec.data.{field}",
            "does not apply to inputs of the type Integer; remove it",
        )
        for field, value in {
            "transforms": "[{name: Resize, size: 8}]",
            "range": "[0, 4095]",
            "window": "[40, 400]",
            "standardize": "PerFeature",
        }.items()
    ),
    Bad(
        "concentration of an IID partition",
        [IID, "spec.data.partition.concentration=1"],
        "spec.data.partition.concentration",
        "does not apply to the scheme IID",
    ),
    Bad(
        "storage class of a taken claim",
        ["spec.checkpoint.storage={storageClassName: fast, claimName: a}"],
        "spec.checkpoint.storage.storageClassName",
        "claimName names an existing one",
    ),
    Bad(
        "path of ScikitLearn",
        ["spec.data.train.path=/data"],
        "spec.data.train.path",
        "does not apply to the format ScikitLearn; remove it",
    ),
    Bad(
        "column of NumPy",
        ["spec.data.train={format: NumPy, path: x, inputColumn: a}"],
        "spec.data.train.inputColumn",
        "does not apply to the format NumPy",
    ),
    Bad(
        "options of ScikitLearn",
        ["spec.data.train.options={a: 1}"],
        "spec.data.train.options",
        "does not apply to",
    ),
    Bad(
        "split of Parquet",
        ["spec.data.train={format: Parquet, path: x, split: Test}"],
        "spec.data.train.split",
        "does not apply to the format Parquet",
    ),
    Bad(
        "all of Torchvision",
        ["spec.data.train={format: Torchvision, name: A, path: x, split: All}"],
        "spec.data.train.split",
        "must be Train or Test",
    ),
    Bad(
        "classes twice", ["spec.data.train.classes=[a, a]"], "spec.data.train.classes", "names a class twice"
    ),
    Bad(
        "measured on training data",
        ["spec.data.evaluation={format: ScikitLearn, name: digits}"],
        "spec.data.train.split",
        "is All, which holds samples of the evaluation data (Test); set split: Train",
    ),
    Bad(
        "the server's client path",
        ["spec.data.evaluation={format: NumPy, path: '/data/{client}.npz'}"],
        "spec.data.evaluation.path",
        "the server reads the data",
    ),
    Bad(
        "partition of own data",
        [IID, "spec.data.train={format: NumPy, path: '/data/{client}.npz'}"],
        "spec.data.partition",
        "divides one common dataset",
    ),
    Bad(
        "skew of an IID partition",
        [IID, "spec.data.partition.classesPerClient=3"],
        "spec.data.partition.classesPerClient",
        "does not apply to the scheme IID",
    ),
    Bad(
        "classes without classes",
        [DIRICHLET, "spec.loss=MeanSquaredError"],
        "spec.data.partition.scheme",
        "but the loss MeanSquaredError has none; use IID",
    ),
    Bad(
        "more clients needed than there are",
        [IID, "spec.faultTolerance.minAvailableClients=5"],
        "spec.faultTolerance.minAvailableClients",
        "is 5, must be at most data.partition.clients (4)",
    ),
    Bad(
        "momentum of Adam",
        ["spec.optimizer={name: Adam, momentum: 0.5}"],
        "spec.optimizer.momentum",
        "does not apply to the optimizer Adam",
    ),
    Bad(
        "alpha of SGD",
        ["spec.optimizer.alpha=0.5"],
        "spec.optimizer.alpha",
        "does not apply to the optimizer SGD",
    ),
    Bad(
        "Nesterov's momentum of RMSprop",
        ["spec.optimizer={name: RMSprop, nesterov: true}"],
        "spec.optimizer.nesterov",
        "does not apply to the optimizer RMSprop",
    ),
    Bad(
        "Nesterov's momentum without momentum",
        ["spec.optimizer={momentum: 0, nesterov: true}"],
        "spec.optimizer.nesterov",
        "is true, which needs a momentum above 0",
    ),
    Bad(
        "clipped in two ways",
        ["spec.optimizer={clipNorm: 1, clipValue: 1}"],
        "spec.optimizer.clipValue",
        "cannot be combined with clipNorm",
    ),
    Bad(
        "factor of Cosine",
        ["spec.optimizer.schedule={name: Cosine, factor: 0.5}"],
        "spec.optimizer.schedule.factor",
        "does not apply to the schedule Cosine",
    ),
    Bad(
        "period of a constant rate",
        ["spec.optimizer.schedule.everyEpochs=3"],
        "spec.optimizer.schedule.everyEpochs",
        "does not apply to the schedule Constant",
    ),
    Bad(
        "patience of OneCycle",
        ["spec.optimizer.schedule={name: OneCycle, patience: 3}"],
        "spec.optimizer.schedule.patience",
        "does not apply to the schedule OneCycle",
    ),
    Bad(
        "a plateau of what is not measured",
        ["spec.optimizer.schedule.name=ReduceOnPlateau"],
        "spec.optimizer.schedule.name",
        "is ReduceOnPlateau, which needs evaluations",
    ),
    Bad(
        "nothing but warm-up",
        ["spec.optimizer.schedule.warmupEpochs=3"],
        "spec.optimizer.schedule.warmupEpochs",
        "is 3, must be below epochs (3)",
    ),
    Bad(
        "betas of SGD",
        ["spec.optimizer.betas=[0.5, 0.5]"],
        "spec.optimizer.betas",
        "does not apply to the optimizer SGD",
    ),
    *(
        Bad(
            f"{option.partition('=')[0]} of {loss}",
            [f"spec.loss={loss}", f"spec.lossOptions.{option}"],
            f"spec.lossOptions.{option.partition('=')[0]}",
            f"does not apply to the loss {loss}; remove it",
        )
        for loss, option in (
            ("BinaryCrossEntropy", "labelSmoothing=0.1"),
            ("MeanSquaredError", "classWeights=[1, 2]"),
            ("Huber", "classWeighting=Balanced"),
            ("CrossEntropy", "positiveWeight=2"),
            ("MeanSquaredError", "focalGamma=2"),
            ("MeanSquaredError", "delta=2"),
            ("CrossEntropy", "entrypoint='a.b:c'"),
            ("CrossEntropy", "labels=Values"),
        )
    ),
    Bad("no loss function", ["spec.loss=Custom"], "spec.lossOptions.entrypoint", "the loss Custom needs it"),
    Bad(
        "weights of classes, given and computed",
        ["spec.lossOptions={classWeights: [1, 2], classWeighting: Balanced}"],
        "spec.lossOptions.classWeights",
        "is given, but classWeighting computes the weights",
    ),
    Bad(
        "weight of the positive labels, given and computed",
        ["spec.loss=BinaryCrossEntropy", "spec.lossOptions={positiveWeight: 2, classWeighting: Balanced}"],
        "spec.lossOptions.positiveWeight",
        "is given, but classWeighting computes the weights",
    ),
    Bad(
        "smoothed labels in the focal loss",
        ["spec.lossOptions={labelSmoothing: 0.1, focalGamma: 2}"],
        "spec.lossOptions.labelSmoothing",
        "cannot be combined with focalGamma",
    ),
    Bad(
        "classes of a partition without classes of the loss",
        [DIRICHLET, "spec.loss=Custom", "spec.lossOptions={entrypoint: 'a.b:c', labels: Values}"],
        "spec.data.partition.scheme",
        "but the loss Custom has none; use IID",
    ),
    *(
        Bad(
            f"{metric} of {loss}",
            [f"spec.loss={loss}", f"spec.metric={metric}"],
            "spec.metric",
            f"is {metric}, which the loss {loss} does not have; use one of Loss, {first}",
        )
        for loss, metric, first in (
            ("CrossEntropy", "R2", "Accuracy, BalancedAccuracy"),
            ("BinaryCrossEntropy", "MeanAbsoluteError", "Accuracy, BalancedAccuracy"),
            ("Huber", "MacroF1", "MeanAbsoluteError"),
        )
    ),
    Bad(
        "early stopping without evaluations",
        ["spec.data.evaluation=null", "spec.earlyStopping={}"],
        "spec.earlyStopping",
        "needs evaluations, but there are no evaluation data",
    ),
    Bad(
        "two inputs of one name",
        [CUSTOM, "spec.data.inputs=[{name: age}, {name: age}]"],
        "spec.data.inputs",
        "names an input twice",
    ),
    Bad(
        "several inputs of image files",
        ["spec.data.train={format: ImageFolder, path: /data}", SEVERAL],
        "spec.data.inputs",
        "does not apply to the format ImageFolder of data.train",
    ),
    Bad(
        "several inputs of evaluation data without them",
        [CUSTOM, "spec.data.evaluation={format: ImageFolder, path: /data}", SEVERAL],
        "spec.data.inputs",
        "does not apply to the format ImageFolder of data.evaluation",
    ),
    *(
        Bad(
            f"{field} of one among several inputs",
            [CUSTOM, SEVERAL, f"spec.data.{field}={value}"],
            f"spec.data.{field}",
            "does not apply to a model with several inputs; set it for each of data.inputs",
        )
        for field, value in (
            ("transforms", "[{name: Pad}]"),
            ("range", "[0, 1]"),
            ("window", "[40, 400]"),
            ("layout", "CHW"),
            ("inputType", "Integer"),
            ("length", "3"),
            ("standardize", "PerFeature"),
        )
    ),
    *(
        Bad(
            f"{field} beside several inputs, in data.{source}",
            [
                "spec.data={train: {format: Parquet, path: a}, evaluation: {format: Parquet, path: b}}",
                SEVERAL,
                f"spec.data.{source}.{field}={value}",
            ],
            f"spec.data.{source}.{field}",
            "set columns of each of data.inputs",
        )
        for source in ("train", "evaluation")
        for field, value in (("inputColumn", "a"), ("inputColumns", "[a]"))
    ),
    Bad(
        "a CSV file for the evaluation without columns",
        ["spec.data.evaluation={format: CSV, path: a}"],
        "spec.data.evaluation.inputColumns",
        "is missing; the format CSV needs it",
    ),
    Bad(
        "columns of inputs that are no columns",
        [CUSTOM, "spec.data.inputs=[{name: age, columns: [age]}]"],
        "spec.data.inputs",
        "give columns, which only CSV and Parquet data have",
    ),
    Bad(
        "columns of inputs for an evaluation without columns",
        [
            "spec.data={train: {format: Parquet, path: a}, evaluation: {format: Custom, entrypoint: 'a:b'}}",
            "spec.data.inputs=[{name: age, columns: [age]}]",
        ],
        "spec.data.inputs",
        "give columns, which only CSV and Parquet data have",
    ),
    Bad(
        "transforms of evaluation samples with several inputs",
        [CUSTOM, SEVERAL, "spec.data.evaluation={format: Custom, entrypoint: 'a:b', transforms: []}"],
        "spec.data.evaluation.transforms",
        "set it for each of data.inputs",
    ),
    Bad(
        "the shape of one among several inputs",
        [CUSTOM, SEVERAL, "spec.model.inputShape=[3]"],
        "spec.model.inputShape",
        "set shape for each of data.inputs",
    ),
    Bad(
        "a range of an input from high to low",
        [CUSTOM, "spec.data.inputs=[{name: age, range: [2, 1]}]"],
        "spec.data.inputs[0].range",
        "must be two numbers, the lower one first",
    ),
    *(
        Bad(
            f"{field} of an integer input",
            [CUSTOM, f"spec.data.inputs=[{{name: age, type: Integer, {field}: {value}}}]"],
            f"spec.data.inputs[0].{field}",
            "does not apply to inputs of the type Integer; remove it",
        )
        for field, value in (
            ("transforms", "[{name: Pad}]"),
            ("range", "[0, 1]"),
            ("standardize", "PerFeature"),
        )
    ),
    Bad(
        "claim made and taken",
        ["spec.checkpoint.storage={size: 1Gi, claimName: a}"],
        "spec.checkpoint.storage.size",
        "claimName names an existing one",
    ),
]

KIND = [
    Bad("kind", ["kind=Job"], "kind", "is 'Job', must be SplitTrainingJob"),
    Bad("no kind", ["kind="], "kind", "is missing, must be SplitTrainingJob"),
    Bad("version", ["apiVersion=pslgs.dev/v1"], "apiVersion", "must be pslgs.dev/v1alpha1"),
]

ALL = [*UNKNOWN, *MISSING, *WRONG_TYPE, *OUT_OF_RANGE, *BAD_TEXT, *CHOICES, *TOGETHER, *KIND]
