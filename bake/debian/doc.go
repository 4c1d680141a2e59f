// Package debian installs packages of an apt archive without apt.
//
// Its first half reads archives: HostSources or MirrorSources say where, Open
// verifies the signed releases and reads the indexes that they list, Resolve
// chooses packages as apt does, and Fetch gets their .debs into a Cache by
// size and sha256. What a Resolve chose, written down, needs no signature
// later: the hashes suffice.
//
// Its second half installs .debs into a tree: Install unpacks them in
// parallel, writes dpkg's database, and runs the maintainer scripts through a
// Runner in an order that dpkg accepts.
package debian
