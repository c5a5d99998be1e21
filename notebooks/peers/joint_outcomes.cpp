// A yes/no outcome and a normal one with correlated effects of subjects, which TMB integrates over.
#include <TMB.hpp>
template <class Type> Type objective_function<Type>::operator()() {
  DATA_VECTOR(y); DATA_MATRIX(X); DATA_IVECTOR(g); DATA_VECTOR(z); DATA_MATRIX(Z); DATA_IVECTOR(h); DATA_VECTOR(years);
  PARAMETER_VECTOR(beta); PARAMETER_VECTOR(delta); PARAMETER(log_sigma); PARAMETER_VECTOR(log_sd); PARAMETER_VECTOR(theta); PARAMETER_MATRIX(U);
  density::UNSTRUCTURED_CORR_t<Type> normal(theta);
  vector<Type> sd = exp(log_sd), logit = X * beta, mean = Z * delta, corr(2);
  Type nll = 0;
  for (int k = 0; k < U.rows(); k++) nll += density::VECSCALE(normal, sd)(vector<Type>(U.row(k)));
  for (int i = 0; i < y.size(); i++) nll -= dbinom_robust(y(i), Type(1), logit(i) + U(g(i), 0), true);
  for (int i = 0; i < z.size(); i++) nll -= dnorm(z(i), mean(i) + U(h(i), 1) + U(h(i), 2) * years(i), exp(log_sigma), true);
  matrix<Type> all = normal.cov();
  corr << all(0, 1), all(0, 2);
  ADREPORT(sd);
  ADREPORT(corr);
  return nll;
}
