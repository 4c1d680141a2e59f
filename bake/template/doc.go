// Package template reads what a person writes, a kiln.hcl and its kiln.lock,
// into a [Recipe] that the bake follows.
//
// A template is HCL2 (github.com/hashicorp/hcl/v2, native syntax) with
// variables, locals, functions and image blocks. [Load] evaluates all of it and
// checks all of it, so that a recipe has no reference left to follow: its
// images stand parents first and its copy sources are there. Nothing in a
// template can read the clock, the environment or a random number; the same
// text, variables and files give the same recipe.
//
// What is wrong with a template comes back as an [*Error]: one line per
// problem, with the file, the line and what to do.
//
// A [Lock] pins what a template leaves open: the packages of every image and
// the digests of parents outside the template.
package template
