// Package secrets finds what looks like a secret in text: keys, tokens,
// passwords. It is the only user of gitleaks, and takes from it the rules
// alone: they are matched by an engine of our own, which runs a rule's
// expression only around the rule's keywords, since an image has hundreds of
// megabytes where a commit has kilobytes.
//
// What differs from gitleaks: lists of paths that it skips everywhere (lock
// files, node_modules, Python's libraries) count here for its heuristic rule
// only, a comment "gitleaks:allow" counts for nothing, and encoded text is not
// decoded. A finding never carries the secret, only its first characters.
//
// The package knows neither images nor files: it is given names and contents.
package secrets
