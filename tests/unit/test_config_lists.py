"""Lists in settings: what cannot be read is refused with all other faults, by name and part."""

from __future__ import annotations

import pytest

from factory.config import load_settings, setting_faults
from factory.config.lists import read_models, read_receivers
from factory.errors import Misconfigured

GOOD = {
    "DATABASE_URL": "postgresql://user@host/name",
    "REDIS_URL": "redis://host:6379/0",
    "SECRET_KEY": "5f1c0de9a7b34286" + "e2d1f80934c7ab65",
}


def test_receivers_are_names_and_networks() -> None:
    found = read_receivers("a.b, *.Corp 10.9.9.9,fd12::/16")
    assert found.names == ("a.b", "*.corp")
    assert [str(network) for network in found.networks] == ["10.9.9.9/32", "fd12::/16"]


def test_a_model_has_its_provider() -> None:
    assert read_models(" openai/ours, groq/a/b,") == (("openai", "ours"), ("groq", "a/b"))


@pytest.mark.parametrize(
    "hosts", ["0.0.0.0/0", "::/0", "http://hooks.internal", "10.1.0.0/33", "a b!", "*"]
)
def test_receivers_that_cannot_be_read_are_refused(hosts: str) -> None:
    with pytest.raises(ValueError, match="which is not usable: name"):
        read_receivers(hosts)


@pytest.mark.parametrize("models", ["gpt-of-tomorrow", "openai/ours, ours", "/ours", "openai/"])
def test_a_model_without_a_provider_is_refused(models: str) -> None:
    with pytest.raises(ValueError, match="<provider>/<model>"):
        read_models(models)


def test_a_wrong_list_is_named_in_the_one_message_with_all_other_faults() -> None:
    given = {
        **GOOD,
        "LEASE_S": "15s",
        "WEBHOOK_ALLOWED_HOSTS": "10.1.0.0/16, http://hooks.corp",
        "EXTRA_MODELS": "openai/ours, ours",
    }
    assert sorted(fault.name for fault in setting_faults(given)) == [
        "EXTRA_MODELS",
        "LEASE_S",
        "WEBHOOK_ALLOWED_HOSTS",
    ]
    with pytest.raises(Misconfigured, match=r"'http://hooks\.corp', which"):
        load_settings(given)
