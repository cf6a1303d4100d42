def test_it_says_what_it_issued_and_what_to_do_with_it(pslgs, tmp_path):
    keys = tmp_path / "keys"
    printed = pslgs("identities", keys, "--server", "hub,10.0.0.1", "--clients", "north, south", "--days", 30)
    assert printed.exit_code == 0
    assert printed.stdout.splitlines() == [
        *(f"{keys / name}: issued for 30 days" for name in ("server", "north", "south")),
        f"Copy its folder to each machine, and keep {keys / 'authority'} to yourself: it admits clients.",
    ]


def test_nothing_is_issued_twice(pslgs, tmp_path):
    pslgs("identities", tmp_path, "--server", "hub", "--clients", "north")
    printed = pslgs("identities", tmp_path, "--clients", "north")
    assert printed.stdout.startswith("Nothing is missing.\n")


def test_a_server_without_a_name_is_refused(pslgs, tmp_path):
    printed = pslgs("identities", tmp_path / "keys", "--clients", "north")
    assert printed.exit_code == 2
    assert "--server: is missing" in printed.output
