"""The label counts of all members are pooled, and follow every join."""

from pslgs.coordination.membership import ClientInfo, Membership


def test_label_counts_are_pooled_over_all_members_lost_ones_included():
    members = Membership()
    members.admit("b", ClientInfo(3, session=1, label_counts=(1, 2)))
    members.admit("a", ClientInfo(4, session=2, label_counts=(4, 0)))
    members.lose("b")
    assert members.pooled_label_counts.tolist() == [5, 2]
    assert members.label_counts() == {"a": (4, 0), "b": (1, 2)}


def test_a_client_that_returns_with_other_data_replaces_its_label_counts():
    members = Membership()
    members.admit("a", ClientInfo(3, session=1, label_counts=(1, 2)))
    members.lose("a")
    members.admit("a", ClientInfo(5, session=2, label_counts=(0, 5)))
    assert members.pooled_label_counts.tolist() == [0, 5]


def test_members_of_a_checkpoint_keep_their_label_counts():
    members = Membership({"a": 3, "b": 1}, {"a": (1, 2)})
    assert members.pooled_label_counts.tolist() == [1, 2]
    assert members.label_counts() == {"a": (1, 2)}


def test_members_of_a_task_without_classes_have_no_label_counts():
    members = Membership({"a": 3})
    members.admit("b", ClientInfo(3, session=1))
    assert members.pooled_label_counts.size == 0
    assert members.label_counts() == {}
