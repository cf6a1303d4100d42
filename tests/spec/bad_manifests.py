"""Manifests that are wrong in one way each; the parser and the API server both refuse them."""

from typing import NamedTuple

IID = "spec.data.partition={scheme: IID, clients: 4}"
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
    Bad("at the top", ["specs={}"], "specs", "did you mean spec?"),
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
        "long path", [f"spec.model.initialWeights={'a' * 1025}"], "spec.model.initialWeights", "at most 1024"
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
        "more GPUs than are used",
        ["spec.server.gpus=4"],
        "spec.server.gpus",
        "is 4, but a server uses one GPU; give 1, or 0 for the CPU",
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
        "a range of grey values from high to low",
        ["spec.data.range=[4095, 0]"],
        "spec.data.range",
        "must be two numbers, the lower one first, such as [0, 4095]",
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
        "betas of SGD",
        ["spec.optimizer.betas=[0.5, 0.5]"],
        "spec.optimizer.betas",
        "does not apply to the optimizer SGD",
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
