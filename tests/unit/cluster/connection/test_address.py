"""Which address is meant, where the token is, and what is said where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.connection.address import (
    ClusterError,
    authenticate,
    jobs_address,
    join_address,
    token_advice,
    token_place,
)

SECRET = "6f1d2c-secret"


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head:6379", "[::1]:6379"])
def test_addresses_that_join(address: str) -> None:
    assert join_address(address) == address


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://head:8265", r"takes jobs: `phasesweep submit` .*`head:6379` joins"),
        ("https://head/ray", r"takes jobs: .*`head:6379`"),
        ("ray://head:10001", r"phasesweep submit --address http://head:8265"),
        ("nonsense://nowhere:1", r"no kind of address .*`nowhere:6379`"),
        ("head", r"no port; did you mean head:6379\?"),
        ("head:", r"no port"),
        ("head:port", r"no port"),
        ("local", r"unset it"),
        ("http://[::1", r"no address"),
    ],
)
def test_addresses_that_do_not_join(address: str, says: str) -> None:
    with pytest.raises(ClusterError, match=says):
        join_address(address)


def test_addresses_that_take_jobs() -> None:
    assert jobs_address("http://head:8265/") == "http://head:8265"
    assert jobs_address("https://ray.example.org/team") == "https://ray.example.org/team"


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("head:6379", "http://head:8265"),
        ("head:8265", "http://head:8265"),
        ("head", "http://head:8265"),
        ("ray://head:10001", "http://head:8265"),
        ("auto", "http://127.0.0.1:8265"),
        ("[::1]:6379", "http://[::1]:8265"),
        ("http://", "http://HEAD:8265"),
    ],
)
def test_addresses_that_take_no_jobs(address: str, meant: str) -> None:
    with pytest.raises(ClusterError) as refused:
        jobs_address(address)
    assert str(refused.value).endswith(f"did you mean {meant}?")


def own_token(home: Path) -> Path:
    file = home / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text(SECRET, encoding="utf-8")
    return file


def test_the_token_is_found_in_rays_order(tmp_path: Path) -> None:
    assert token_place({}, tmp_path) is None
    own = own_token(tmp_path)
    assert token_place({}, tmp_path) == str(own)
    other = tmp_path / "other"
    other.write_text(SECRET, encoding="utf-8")
    named = {"RAY_AUTH_TOKEN_PATH": str(other)}
    assert token_place(named, tmp_path) == str(other)
    assert token_place({**named, "RAY_AUTH_TOKEN": SECRET}, tmp_path) == "RAY_AUTH_TOKEN"
    other.write_text("\n", encoding="utf-8")
    with pytest.raises(ClusterError, match=r"empty.*auth_token"):
        token_place(named, tmp_path)


def test_a_token_is_sent_if_there_is_one(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    authenticate(environ, tmp_path)
    assert environ == {}
    with pytest.raises(ClusterError, match=r"no token was found.*get-auth-token"):
        authenticate({"RAY_AUTH_MODE": "token"}, tmp_path)
    own_token(tmp_path)
    authenticate(environ, tmp_path)
    assert environ == {"RAY_AUTH_MODE": "token"}
    off = {"RAY_AUTH_MODE": "disabled"}
    authenticate(off, tmp_path)
    assert off == {"RAY_AUTH_MODE": "disabled"}


def test_advice_names_the_place_and_never_the_token(tmp_path: Path) -> None:
    assert "none was found" in token_advice({}, tmp_path)
    own = own_token(tmp_path)
    advice = token_advice({}, tmp_path)
    assert f"refuses the token from {own}" in advice
    assert "RAY_AUTH_TOKEN" in token_advice({"RAY_AUTH_TOKEN": SECRET}, tmp_path)
    assert "sends none; unset that" in token_advice({"RAY_AUTH_MODE": "disabled"}, tmp_path)
    assert SECRET not in advice + token_advice({"RAY_AUTH_TOKEN": SECRET}, tmp_path)
