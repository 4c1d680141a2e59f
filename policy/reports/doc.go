// Package reports reads what other people's tools say of an image: software
// bills of materials (SPDX 2.3 and CycloneDX JSON) and vulnerability reports
// (cosign's vuln predicate around the output of a scanner).
//
// All of it is pure: bytes in, values out, no clock and no files. What comes
// in is bounded, and anything that is not surely of the wanted form is an
// error, never an empty report: a document in which nothing is found must be
// one in which something was looked for.
package reports
