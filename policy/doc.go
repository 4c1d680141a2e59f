// Package policy decides whether a version may move to a channel. It is pure:
// Facts in, Decision out, the clock included in the facts, no network, no
// environment, no state. Policies are Rego v1 in package kiln; this package is
// the only user of Open Policy Agent.
//
// A policy defines
//
//	allow: the boolean true when the promotion may happen
//	deny:  a set of {"rule", "message", "fix"} objects (or strings), each a
//	       reason against it; optional
//
// and a promotion happens only when allow is true and deny is empty. What is
// undefined, of another type, in error or too slow denies.
//
// A policy is joined of parts (Compose): the built-in one, packaged examples and
// a user's files, none of which can make another weaker. A user's part is
// evaluated in a process of its own (Isolated), which alone bounds memory; what
// this package embeds, and what a program did not isolate, is evaluated here, in
// bounded time, with functions that neither reach outside nor make any amount of
// a few bytes.
//
// The facts are claims that the caller has verified already: a signature in
// them was checked against a key, a test was read from a checked attestation.
// This package knows no keys.
package policy
