"""A job gets the variables that are named, and nothing that looks like a credential."""

import pytest

from pointlab.errors import ConfigError
from pointlab.submission import variables_for


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "AWS_SHARED_CREDENTIALS_FILE",
        "RAY_AUTH_TOKEN",
        "RAY_AUTH_TOKEN_PATH",
        "HF_TOKEN",
        "WANDB_API_KEY",
        "WANDB_APIKEY",
        "APIKEY",
        "OPENAI_KEY",
        "REDIS_PASSWORD",
        "SSH_PASSPHRASE",
        "DB_PASS",
        "SENTRY_DSN",
        "GITHUB_PAT",
        "MYSQL_PWD",
    ],
)
def test_a_name_of_a_credential_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hidden")
    assert "hidden" not in variables_for([]).values()
    with pytest.raises(ConfigError, match=r"Ray stores and shows.*Secret"):
        variables_for([], [name])


@pytest.mark.parametrize(
    "value",
    [
        "https://user:hidden@tracking.example.org/mlflow",
        "postgresql://user:hidden@host/db",
        "https://hidden@github.com/a/b",
        "host=db user=me password=hidden",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hidden",
        "https://bucket.example.org/file?X-Amz-Credential=a&X-Amz-Signature=hidden",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_a_value_that_holds_a_credential_is_refused_and_not_shown(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_URI", value)
    with pytest.raises(ConfigError, match=r"TRACKING_URI has a value that may hold a credential") as refused:
        variables_for([], ["TRACKING_URI"])
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POINTLAB_CACHE", "/scratch"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL", "https://store.example.org:7070"),
        ("MLFLOW_TRACKING_URI", "https://tracking.example.org/a@b"),
        ("NCCL_SOCKET_IFNAME", "eth0"),
        ("XLA_FLAGS", "--xla_dump_to=/tmp"),
    ],
)
def test_a_chosen_variable_is_sent_by_its_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert variables_for([], [name])[name] == value


def test_a_variable_that_is_not_set_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POINTLAB_NOTHING", raising=False)
    with pytest.raises(ConfigError, match="not set here"):
        variables_for([], ["POINTLAB_NOTHING"])


def test_where_the_source_is_shipped_it_goes_before_what_is_installed() -> None:
    assert variables_for(["platform/pointlab/__init__.py"])["PYTHONPATH"] == "platform"
    assert "PYTHONPATH" not in variables_for(["pointlab/__init__.py"])
