// Package dockerfile reads a Dockerfile and says what it asks for: stages,
// and in each the files, commands and configuration with all variables
// replaced, as BuildKit would (docs.docker.com/reference/dockerfile). The
// words are read by BuildKit's own parser; nothing here touches a file, a
// network or a clock.
//
// [Parse] reads the text, [File.Plan] finds the stages that a target needs and
// the images that they start from, and [Stage.Evaluate] gives a stage's steps
// and configuration once the configuration below it is known. What kiln does
// not do is an [*Error] with the line and what to do instead.
package dockerfile
