"""What no job ships: environments, data, results and credentials, in the notation of `.gitignore`.

`.rayignore` of the repository says the same to `ray job submit`. Nobody can list every file of credentials:
these are the usual ones, in a project or in a home that is shipped by mistake.
"""

EXCLUDES = (
    # environments
    ".venv",
    "venv",
    ".tox",
    ".nox",
    # version control, caches, builds
    ".git",
    ".hg",
    "__pycache__",
    ".cache",
    ".*_cache",
    "*.egg-info",
    "/build",
    "/dist",
    # data and results, which are in the storage
    "/data",
    "/datasets",
    "/runs",
    "/studies",
    "/results",
    "/mlruns",
    "/wandb",
    # credentials, which the cluster has of its own
    ".env",
    ".env.*",
    ".envrc",
    ".ray",
    ".aws",
    ".azure",
    ".config/gcloud",
    ".s3cfg",
    ".boto",
    ".kube",
    "kubeconfig",
    "*.kubeconfig",
    ".docker",
    ".ssh",
    ".gnupg",
    ".netrc",
    ".git-credentials",
    ".pgpass",
    ".pypirc",
    ".npmrc",
    ".kaggle",
    ".vault-token",
    "*credentials.json",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
)
