// Package bake turns a recipe into images: it locks the inputs, builds each
// step as a layer keyed by the content of what went in, assembles images,
// tests them, and hands them to a registry with their evidence.
//
// The seams are small: a Builder makes layers and images and touches only the
// cache; a Publisher makes a finished image a version of a registry. What one
// bake learns is kept in a Cache, so that the next builds only what changed.
package bake
