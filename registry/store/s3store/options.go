package s3store

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// Options of Open. Credentials are not among them: they come from the usual
// chain, see credentials.
type Options struct {
	Bucket string
	// Prefix of every key, without slashes at its ends; "" is the whole bucket.
	Prefix string
	// Endpoint is the service's http(s) URL without a path; "" is Amazon's.
	Endpoint string
	// Region of the bucket. "" takes AWS_REGION or AWS_DEFAULT_REGION, then
	// asks Amazon or, with an Endpoint, says us-east-1.
	Region string
	// PathStyle puts the bucket into the path: "true", "false", or "" for
	// what the endpoint is known to want.
	PathStyle string
	// Encryption on the server: "" leaves it to the bucket, "s3" has keys that
	// the service manages (SSE-S3), "kms" has KMSKey (SSE-KMS; "" is the
	// account's default key). Keys of our own (SSE-C) are not supported.
	Encryption string
	KMSKey     string
	// Create makes the store's format where there is none. Without it Open
	// returns store.ErrNotFound then. The bucket must be there.
	Create bool
	// Bare opens what may be no store: a backup, or what is to be restored. No
	// format is read or written, and the store has no ID.
	Bare bool
}

// Scheme begins every location.
const Scheme = "s3://"

// maxPrefix keeps the longest key within S3's 1024 bytes.
const maxPrefix = 100

var (
	bucketRE = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	})
	regionRE = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	})
)

// ParseLocation reads
// s3://BUCKET[/PREFIX][?endpoint=http(s)://HOST[:PORT]][&region=R]
// [&path_style=true|false][&sse=s3|kms][&kms_key=ID].
func ParseLocation(location string) (Options, error) {
	o, err := parseLocation(location)
	if err != nil {
		return Options{}, fmt.Errorf("store location %s: %w", redact(location), err)
	}
	return o, nil
}

// redact hides what stands where some put credentials.
func redact(location string) string {
	rest, ok := strings.CutPrefix(location, Scheme)
	if host, path, _ := strings.Cut(rest, "/"); ok && strings.Contains(host, "@") {
		return Scheme + "…@" + host[strings.LastIndex(host, "@")+1:] + "/" + path
	}
	return location
}

func parseLocation(location string) (Options, error) {
	rest, ok := strings.CutPrefix(location, Scheme)
	if !ok {
		return Options{}, errors.New("does not begin with s3://")
	}
	path, query, _ := strings.Cut(rest, "?")
	bucket, prefix, _ := strings.Cut(path, "/")
	o := Options{Bucket: bucket, Prefix: strings.Trim(prefix, "/")}
	if strings.Contains(bucket, "@") {
		return o, errors.New("credentials do not belong in it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return o, errors.New("its query cannot be read: escape it like a URL's")
	}
	fields := map[string]*string{
		"endpoint": &o.Endpoint, "region": &o.Region, "path_style": &o.PathStyle, "sse": &o.Encryption, "kms_key": &o.KMSKey,
	}
	for name, value := range values {
		field, ok := fields[name]
		if !ok {
			return o, fmt.Errorf("unknown option %q: there are endpoint, region, path_style, sse, kms_key", name)
		}
		if len(value) > 1 {
			return o, fmt.Errorf("option %s is given %d times", name, len(value))
		}
		*field = value[0]
	}
	return o, o.check()
}

// check refuses what no service would take.
func (o Options) check() error {
	_, isIP := netip.ParseAddr(o.Bucket)
	switch {
	case o.Bucket == "":
		return errors.New("it names no bucket: want s3://BUCKET/PREFIX")
	case !bucketRE().MatchString(o.Bucket) || strings.Contains(o.Bucket, "..") || isIP == nil:
		return fmt.Errorf("%q is no name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens", o.Bucket)
	case len(o.Prefix) > maxPrefix:
		return fmt.Errorf("prefix has %d bytes, at most %d", len(o.Prefix), maxPrefix)
	case o.Prefix != "" && (store.CheckKey("p/"+o.Prefix) != nil || strings.ContainsAny(o.Prefix, "?#\\") || encodeKey(o.Prefix) != o.Prefix):
		return fmt.Errorf("prefix %q has empty, \".\" or \"..\" components, spaces, quotes, '!' or other signs that keys do not take", o.Prefix)
	case o.Region != "" && !regionRE().MatchString(o.Region):
		return fmt.Errorf("region %q is none: want something like eu-central-1", o.Region)
	case o.PathStyle != "" && o.PathStyle != "true" && o.PathStyle != "false":
		return fmt.Errorf("path_style is %q: want true or false", o.PathStyle)
	case o.Encryption != "" && o.Encryption != "s3" && o.Encryption != "kms":
		return fmt.Errorf("sse is %q: want s3 or kms", o.Encryption)
	case o.KMSKey != "" && o.Encryption != "kms":
		return errors.New("kms_key is given without sse=kms")
	}
	if o.Endpoint == "" {
		return nil
	}
	return checkEndpoint(o.Endpoint)
}

func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return fmt.Errorf("endpoint %q is no URL: want http(s)://HOST[:PORT]", endpoint)
	case u.User != nil:
		return errors.New("credentials do not belong into endpoint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return fmt.Errorf("endpoint %q has more than scheme, host and port", endpoint)
	case !s3utils.IsValidIP(u.Hostname()) && !s3utils.IsValidDomain(u.Hostname()):
		return fmt.Errorf("endpoint %q: %q is neither a domain nor an IP address", endpoint, u.Hostname())
	}
	return nil
}
