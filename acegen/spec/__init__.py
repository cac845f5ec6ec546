"""Stage 1: spec.yaml, acegen's own basis specification, becomes a `BasisSpec` or one sentence of complaint.

Lengths in angstrom, energies in eV.  Only `elements`, `order`, `degree` (or `n_max` and `l_max`) and, without a
preset, `cutoff` are required.  Where a value is one word, "word" is short for "{kind: word}".

key                   value (default)                                     meaning
--------------------  --------------------------------------------------  ----------------------------------------------
preset                ace1 | ace_jax                                      defaults of ACEpotentials' ace1_model or of
                                                                          ace-jax's build_model; own keys still win
name                  C identifier (the file stem)                        name of the model and of its C functions
elements              list of chemical symbols                            species, in this order
order                 1..6                                                correlation order: factors of A in a product
degree                number 1..64, or a list with one value per order    total degree: sum of n + l_weight l <= degree
l_weight              number >= 0.1 (1.5)                                 weight of l in the degree
level_tolerance       number 0..1 (1e-9; preset ace1: 0)                  slack in that comparison
n_max, l_max          list with one value per order                       instead of degree: largest n and l, up to 64
row_order             by_order | lexicographic (by_order)                 order of the rows of B; ace-jax has the second
max_functions         whole number >= 1 (100000)                          larger bases (per species) are refused
cutoff                length > 0 (ace1: 2.5 r0; ace_jax: 5.5)             strictly r < cutoff contributes
angular               spherical | solid (spherical; ace_jax: solid)       Y_lm or r^l Y_lm
radial.transform      {p: 2, q: 4, r_in: 0, r0: mean bond length}         Agnesi transform (preset ace_jax: p 2, q 2)
radial.polynomials    legendre | chebyshev | {kind: jacobi, alpha, beta}  polynomials in x (legendre; ace1: jacobi 4, 4)
radial.envelope       {kind: poly2sx, p1: 2, p2: 2, x1: -1, x2: 1}        (x-x1)^p1 (x2-x)^p2, scaled
                      | {kind: poly1sr, power: 1}                         ((r/rc)^-power - 1)(1 - r/rc)
                      | {kind: ace1_poly1sr, power: 2} | none             ACE1's pair envelope
radial.kind           agnesi | ChebExpCos | ChebPow | SBessel (agnesi)    the others are radial bases of PACE and
                                                                          stand for transform, polynomials, envelope
radial.lambda         number (5.25)                                       of ChebExpCos (> 0) and ChebPow (> 1)
radial.taper          length >= 0 (0)                                     of ChebExpCos: extra taper below the cutoff
radial.evaluation     exact | {kind: spline, nodes: 100}                  the 100-node natural spline is another model
                      | {kind: tabulated, tolerance: 1e-12}               piecewise polynomials within the tolerance
radial.weights        one-hot | {kind: glorot, seed: 0}                   R_nl = sum of weights times polynomials
                      | {kind: file, file: radial.npz, array: W}          W [species, species, (n, l), polynomial]
radial.n_polynomials  1..1000 (1.5 times the largest n, rounded up)       not with one-hot: there as many as are used
pair                  none | mapping (none; both presets have one)        pair basis
pair.degree           whole number 1..1000                                pair functions per neighbour species
pair.n_functions      whole number 1..1000                                instead: in total, shared out over the species
pair.kind             as radial.kind (that of radial), with lambda, taper
pair.transform        as radial.transform (p 1, q 4; ace1: p 1, q 3)
pair.polynomials      as radial.polynomials (legendre)
pair.envelope         as radial.envelope (poly1sr power 1; ace1: ace1_poly1sr power 2)
pair.evaluation       as radial.evaluation (exact; ace1: spline of 100 nodes)
bonds."A-B", ."A->B"  {cutoff, r_in, r0, radial: {transform, envelope},   overrides for an unordered pair, or for centre
                       pair: {transform, envelope}}                       A and neighbour B (which wins)
reference_energies    mapping symbol: eV (0)                              E0, energy of the isolated atom
embedding             linear | {kind: FinnisSinclair, scales: [..],       site energy from the densities (linear);
                       exponents: [..]} | FinnisSinclairShiftedScaled     one density per scale
weights               zero | {kind: random, seed: 0, scale: 1}            numbers of the model (zero); random is for
                      | {kind: file, file: weights.npz}                   benchmarks, see `acegen.basis.weights`
weights_replaceable   true | false (false)                                may weights change without compiling again
precision             float64 | float32 (float64)                         arithmetic unless the caller says otherwise
"""
