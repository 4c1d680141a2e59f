// Package layers makes and reads the layers of OCI images: it writes trees and
// differences of trees as deterministic tar archives, unpacks archives of
// strangers safely, indexes their paths and puts images together. Its layers
// and images implement go-containerregistry's v1.Layer and v1.Image.
//
// # Format
//
// The bytes of a layer follow from its entries alone:
//
//   - Entries stand in tree order: name by name within a folder, a folder
//     before what it holds, whiteouts before their siblings. Of several hard
//     links to one file the first in that order holds the content.
//   - Every header is POSIX pax (IEEE 1003.1), with extended records only for
//     what the plain header cannot hold: names over 100 bytes or beyond ASCII,
//     sizes from 8 GiB, ids from 2^21, times outside 1970-2242, extended
//     attributes (as SCHILY.xattr.NAME). Never records for atime or ctime.
//   - Times are whole seconds; owners are numbers without names; folders end
//     in a slash; no name begins with "./".
//   - Whiteouts follow the OCI image layer specification.
//
// # Compression
//
// Gzip is deflated in blocks of 1 MiB on all cores at level 6. Measured on 262
// MB of a Debian 12 system (the required and important packages, perl, python
// and nodejs) on two shared cores, MB/s of input and size of output:
//
//	level   1    204 MB/s   38.9 %
//	level   3    231 MB/s   36.7 %
//	level   5    168 MB/s   34.5 %
//	level   6    145 MB/s   34.1 %   chosen
//	level   7    111 MB/s   33.5 %
//	level   8     39 MB/s   33.3 %
//	level   9     17 MB/s   33.2 %
//	compress/gzip level 6, one core    31 MB/s   33.3 %
//	zstd, default level, 8 MiB frames  322 MB/s  28.2 %
//
// Blocks of 256 KiB or 4 MiB change the size by less than 0.1 %. BenchmarkBuild
// measures it again.
package layers
