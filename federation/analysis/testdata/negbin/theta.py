"""Writes theta.json: the maximum of the likelihood of y ~ x + g + offset(log(z)) on theta.csv, by
Newton's steps with 50 digits, where R's glm.nb ends with "alternation limit reached".
Run in this folder: python3 theta.py"""
import csv
import json
from decimal import Decimal as D, getcontext

getcontext().prec = 50
rows = [
    ([D(1), D(r["x"]), D(r["g"] == "b"), D(r["g"] == "c")], D(r["z"]), int(r["y"]))
    for r in csv.DictReader(open("theta.csv")) if r["x"]
]


def derivatives(at):
    """The log likelihood, its gradient and second derivatives by coefficients and theta."""
    *b, theta = at
    likelihood, g, h = D(0), [D(0)] * 5, [[D(0)] * 5 for _ in range(5)]
    for x, z, y in rows:
        mu = z * sum(u * v for u, v in zip(x, b)).exp()
        both = mu + theta
        likelihood += sum((theta + k).ln() - (k + D(1)).ln() for k in range(y)) + (y * (mu / both).ln() if y else 0) - theta * (1 + mu / theta).ln()
        first = theta * (y - mu) / both
        by_theta = sum(1 / (theta + k) for k in range(y)) - (1 + mu / theta).ln() - (y - mu) / both
        for i in range(4):
            g[i] += first * x[i]
            for j in range(4):
                h[i][j] -= theta * mu * (y + theta) / (both * both) * x[i] * x[j]
            h[i][4] += mu * (y - mu) / (both * both) * x[i]
            h[4][i] = h[i][4]
        g[4] += by_theta
        h[4][4] += mu / (theta * both) + (y - mu) / (both * both) - sum(1 / (theta + k) ** 2 for k in range(y))
    return likelihood, g, h


def solve(a, b):
    m, n = [r[:] + [v] for r, v in zip(a, b)], len(b)
    for i in range(n):
        p = max(range(i, n), key=lambda k: abs(m[k][i]))
        m[i], m[p] = m[p], m[i]
        for k in range(i + 1, n):
            f = m[k][i] / m[i][i]
            m[k] = [u - f * v for u, v in zip(m[k], m[i])]
    x = [D(0)] * n
    for i in reversed(range(n)):
        x[i] = (m[i][n] - sum(m[i][j] * x[j] for j in range(i + 1, n))) / m[i][i]
    return x


at = [D(1), D("0.1"), D(0), D(0), D("0.61")]
while True:
    _, gradient, second = derivatives(at)
    step = solve(second, gradient)
    while at[4] <= step[4]:
        step = [s / 2 for s in step]
    at = [a - s for a, s in zip(at, step)]
    if max(map(abs, step)) < D("1e-40"):
        break
with open("theta.json", "w") as out:
    json.dump({"coefficients": [float(v) for v in at[:4]], "theta": float(at[4]), "logLikelihood": float(derivatives(at)[0])}, out)
    out.write("\n")
