from services.cli.backoff import FIRST_S, LONGEST_S, STEADY_S, Backoff


def test_waits_double_up_to_the_longest():
    backoff = Backoff()
    assert [backoff.died(0.1) for _ in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, LONGEST_S, LONGEST_S, LONGEST_S]


def test_a_steady_life_begins_anew():
    backoff = Backoff()
    for _ in range(5):
        backoff.died(1.0)
    assert backoff.looping
    assert backoff.died(STEADY_S) == FIRST_S
    assert not backoff.looping


def test_a_thousand_deaths_do_not_overflow():
    backoff = Backoff()
    assert {backoff.died(0) for _ in range(2000)} <= {0.5, 1.0, 2.0, 4.0, 8.0, 15.0}
