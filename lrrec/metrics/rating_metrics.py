"""Rating metrics: functions of the errors of predicted values, with one value a user.

errors (N,): predicted minus true value of each test interaction; rows (N,): its user, 0 to n_users - 1. The mean over
users gives every user the same weight. (Other definition: over all test interactions at once, which `evaluate` puts
into the protocol.)
"""

import numpy as np


def rmse(errors: np.ndarray, rows: np.ndarray, n_users: int) -> np.ndarray:
    """Root of the mean squared error of each user's test interactions."""
    return np.sqrt(np.bincount(rows, errors**2, n_users) / np.bincount(rows, minlength=n_users))


def mae(errors: np.ndarray, rows: np.ndarray, n_users: int) -> np.ndarray:
    """Mean absolute error of each user's test interactions."""
    return np.bincount(rows, np.abs(errors), n_users) / np.bincount(rows, minlength=n_users)
