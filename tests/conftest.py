"""Which test modules are begun first, so that none of the long ones is left to run alone at the end.

Those that wait more than they compute go before the one that waits for the run of test_faults.py.
"""

LONG = ("test_slurm.py", "test_faults.py", "test_remote.py", "test_odd_servers.py", "test_workflow.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
