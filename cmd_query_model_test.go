package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

func TestRegressionIsPrintedAsRDoes(t *testing.T) {
	t.Parallel()
	value := func(v float64) *float64 { return &v }
	var b strings.Builder
	require.NoError(t, printRegression(&b, query.Regression{
		Formula: "relapse ~ age + sex", Family: query.Binomial, Link: query.LinkLogit, N: 114, Omitted: 6,
		Coefficients: []query.Coefficient{
			{Name: "(Intercept)", Estimate: value(-30.545715669500186), SE: value(5.4559533292640019), Statistic: value(-5.5986), P: value(2.16e-8)},
			{Name: "age", Estimate: value(0.056379051785400348), SE: value(0.020574065090895023), Statistic: value(2.7403), P: value(0.006138)},
			{Name: "sexother or unknown"},
			{Name: "far", Estimate: value(3), SE: value(0.01), Statistic: value(300), P: value(0)},
		},
		Dispersion: value(1), Deviance: 89.661707422981181, DF: 110, NullDeviance: 156.77205617073059, NullDF: 113,
		AIC: value(97.661707422981181), Iterations: 5, Converged: true, Warnings: []string{"glm.fit: fitted probabilities numerically 0 or 1 occurred"},
	}))
	require.Equal(t, `
glm(relapse ~ age + sex, family = binomial("logit"))

Coefficients:
                      Estimate Std. Error z value Pr(>|z|)
 (Intercept)          -30.5457    5.45595  -5.599 2.16e-08 ***
 age                 0.0563791  0.0205741    2.74  0.00614 **
 sexother or unknown        NA         NA      NA       NA
 far                         3       0.01     300   <2e-16 ***
---
Signif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1

(Dispersion parameter for binomial family taken to be 1)

     Null deviance: 156.772 on 113 degrees of freedom
 Residual deviance: 89.6617 on 110 degrees of freedom
114 persons, 6 left out for a missing value
AIC: 97.6617

Number of Fisher Scoring iterations: 5
Warning: glm.fit: fitted probabilities numerically 0 or 1 occurred
`, b.String())
}
