"""Where the default priors come from, by the kind of the parameter: the reason for a shape and for its centre."""

from __future__ import annotations

CENTRES = {
    ("measured", "identity"): "centred at the mean of the response, scale 2.5 of its standard deviations",
    ("measured", "log"): "centred at the log of the level of the response, so that its unit does not matter",
    ("count", "log"): "centred at the log of the crude rate, so that the unit of the exposure does not matter",
    ("time", "log_hazard"): "centred at the log of the crude rate",
    ("time", "log_time"): "centred at the log of the follow-up per event",
}
REASONS = {
    "intercept": ("StudentT", "so wide that any baseline is possible; the shape is that of brms"),
    "coefficient": (
        "Normal",
        "weak, rules out only the absurd: 2.5 units of the link for a distance of one spread of the covariate, as in rstanarm; of two "
        "values the spread is their distance (Gelman et al. 2008)",
    ),
    "sd": (
        "Exponential",
        "the mean is one unit of the link, of a normal outcome one standard deviation of it, per spread of the covariate; the mass near 0 "
        "lets groups be alike (Simpson et al. 2017)",
    ),
    "df": ("Gamma", "from heavy tails to nearly normal ones (Juárez and Steel 2010); brms has the same above 1"),
    "corr": ("LKJ", "mildly against correlations near \N{MINUS SIGN}1 and 1; arbitrary, as everywhere"),
    "share": ("Beta", "every value is as likely as any other"),
    "autocorrelation": ("Beta|Uniform", "every value is as likely as any other"),
    "spatial share": ("Beta", "every value is as likely as any other"),
    "range": ("InverseGamma", "every correlation over the median gap from 0 to 1 is as likely as any other"),
    "effect": ("Normal", "weak, centred at no effect"),
    "tau": ("HalfNormal", "the wider of the two that Friede et al. (2017) use for log odds ratios"),
    "beta_sd": ("HalfNormal", "the spread of effects that tau has, one standard deviation of the covariate away from its mean"),
    "study_Intercept": ("Normal", "wide, so that rare events are rare without an effect on the ratios; nothing is pooled"),
    "smooth sd": ("Exponential", "the bend of a curve has one unit of standard deviation in the mean, as group effects have"),
    "smooth line": ("Normal", "as a coefficient: 2.5 units of the link per spread of the column"),
    "hazard coefficient": ("Normal", "weak: 2.5 for a distance of one spread of the covariate, or of the marker"),
    "hazard level": ("Normal", "around the log of the crude rate; very wide"),
    "h0_trend": ("Normal", "how much the log hazard rises or falls over the follow-up; wide"),
    "h0_precision": ("Gamma", "the smoothness of the log hazard; arbitrary, as in JMbayes2"),
    "frailty_sd": ("Exponential", "as of group effects: the mean is one unit of the log hazard; the mass near 0 lets subjects be alike"),
    "weibull_shape": ("LogNormal", "a hazard that is constant (1), falls or rises"),
    "exposure_shares": ("Dirichlet", "every course of the effect is as likely as any other"),
    "simplex": ("Dirichlet", "every course from the lowest level to the highest is as likely as any other, as in brms"),
    "loading": ("Normal", "weak, in the ratio of the units of both links"),
    "nominal_beta": ("Normal", "drawn to proportional odds"),
}  # fmt: skip
