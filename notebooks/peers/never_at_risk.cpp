// Counts of subjects of whom some can only give zeros; the trait is summed out, group effects are integrated over by TMB.
#include <TMB.hpp>
template <class Type> Type objective_function<Type>::operator()() {
  DATA_VECTOR(y); DATA_MATRIX(X); DATA_IVECTOR(pop); DATA_IVECTOR(site); DATA_VECTOR(w); DATA_IVECTOR(any);
  PARAMETER_VECTOR(beta); PARAMETER_VECTOR(gamma); PARAMETER_VECTOR(log_sd); PARAMETER_VECTOR(u); PARAMETER_VECTOR(v);
  vector<Type> eta = X * beta, S(u.size());
  S.setZero();
  Type nll = -dnorm(u, Type(0), Type(1), true).sum() - dnorm(v, Type(0), Type(1), true).sum(), share = 0;
  for (int i = 0; i < y.size(); i++)
    S(pop(i)) += dpois(y(i), exp(eta(i) + exp(log_sd(0)) * u(pop(i)) + exp(log_sd(1)) * v(site(i))), true);
  for (int k = 0; k < u.size(); k++) {
    Type p = invlogit(gamma(0) + gamma(1) * w(k));
    share += p / u.size();
    nll -= any(k) ? log(1 - p) + S(k) : logspace_add(log(p), log(1 - p) + S(k));
  }
  ADREPORT(share);
  return nll;
}
