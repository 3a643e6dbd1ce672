"""Runs in an environment with scikit-learn: the weights it finds for a logistic regression given on standard input."""

import json
import sys

import numpy as np
import scipy
import sklearn
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression


def solution(matrix, labels, costs, l2):
    """scikit-learn sums costs times losses and weighs that sum with C; ours is a mean and weighs the penalty."""
    shares = costs / costs.sum()
    solver = LogisticRegression(C=1 / l2, solver="newton-cg", tol=1e-12, max_iter=10_000)
    solver.fit(matrix, labels, sample_weight=shares)
    return {"weights": solver.coef_[0].tolist(), "bias": float(solver.intercept_[0])}


def main():
    asked = json.load(sys.stdin)
    used, columns = np.unique(asked["places"], return_inverse=True)
    shape = (len(asked["labels"]), len(used))
    matrix = csr_matrix((np.array(asked["values"]), columns, asked["first"]), shape=shape)
    labels, costs = np.array(asked["labels"]), np.array(asked["costs"])
    versions = {module.__name__: module.__version__ for module in (np, scipy, sklearn)}
    solutions = {str(l2): solution(matrix, labels, costs, l2) for l2 in asked["l2"]}
    json.dump({"versions": versions, "solutions": solutions}, sys.stdout)


if __name__ == "__main__":
    main()
