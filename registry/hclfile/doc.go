// Package hclfile reads files of settings in HCL whose mistakes are told all at
// once, each with its line, its block and, for a misspelt name, the one that was
// meant.
//
// A reader asks a [Block] for every name that it knows and then calls
// [Block.Done], which notes what nobody asked for. What is missing or wrong has
// no value, the latter with a problem noted in [Problems]; so that a reader goes
// on to the end of the file. What [Problems.Report] gives is the reader's to wrap
// in an error of its own.
package hclfile
