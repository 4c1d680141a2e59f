package s3store

import (
	"strings"
	"testing"
)

func TestParseLocation(t *testing.T) {
	for location, want := range map[string]Options{
		"s3://bucket":            {Bucket: "bucket"},
		"s3://bucket/":           {Bucket: "bucket"},
		"s3://my.bucket-1/a/b/":  {Bucket: "my.bucket-1", Prefix: "a/b"},
		"s3://bucket?region=x-1": {Bucket: "bucket", Region: "x-1"},
		"s3://bucket/p?endpoint=http://127.0.0.1:9000&region=eu-central-1&path_style=true": {
			Bucket: "bucket", Prefix: "p", Endpoint: "http://127.0.0.1:9000", Region: "eu-central-1", PathStyle: "true",
		},
		"s3://bucket/p?endpoint=https%3A%2F%2Fs3.example.com%2F&sse=kms&kms_key=arn:aws:kms:k/1": {
			Bucket: "bucket", Prefix: "p", Endpoint: "https://s3.example.com/", Encryption: "kms", KMSKey: "arn:aws:kms:k/1",
		},
		"s3://bucket?sse=s3": {Bucket: "bucket", Encryption: "s3"},
	} {
		if got, err := ParseLocation(location); err != nil || got != want {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", location, got, err, want)
		}
	}
}

func TestParseLocationRefuses(t *testing.T) {
	for location, want := range map[string]string{
		"http://bucket":            "does not begin with s3://",
		"s3://":                    "names no bucket",
		"s3:///prefix":             "names no bucket",
		"s3://BUCKET":              "no name of a bucket",
		"s3://ab":                  "no name of a bucket",
		"s3://a..b":                "no name of a bucket",
		"s3://192.168.0.1":         "no name of a bucket",
		"s3://key:secret@bucket/p": "credentials do not belong",
		"s3://bucket/a//b":         "prefix",
		"s3://bucket/../b":         "prefix",
		"s3://bucket/a b":          "prefix",
		"s3://bucket/a!":           "prefix",
		"s3://bucket/" + strings.Repeat("p", 101): "prefix has 101 bytes",
		"s3://bucket?endpiont=http://x":           `unknown option "endpiont"`,
		"s3://bucket?region=a&region=b":           "given 2 times",
		"s3://bucket?region=a b":                  "region",
		"s3://bucket?endpoint=127.0.0.1:9000":     "want http(s)://HOST[:PORT]",
		"s3://bucket?endpoint=http://u:p@x":       "credentials do not belong",
		"s3://bucket?endpoint=http://x/path":      "more than scheme, host and port",
		"s3://bucket?endpoint=http://!0":          "neither a domain nor an IP",
		"s3://bucket?path_style=yes":              "path_style",
		"s3://bucket?sse=c":                       "sse",
		"s3://bucket?kms_key=k":                   "without sse=kms",
		"s3://bucket?%zz":                         "query cannot be read",
	} {
		_, err := ParseLocation(location)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", location, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%v shows the secret", err)
		}
	}
}

func FuzzParseLocation(f *testing.F) {
	for _, s := range []string{
		"s3://bucket/p?endpoint=http://127.0.0.1:9000&region=eu-central-1", "s3://", "s3://b@c/..", "s3://bucket?sse=kms&kms_key=%00",
		"s3://bucket/\xff", "s3://bucket?endpoint=http://[::1]:1", "s3://abc?endpoint=http://:1", "s3://bucket/tmp",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, location string) {
		o, err := ParseLocation(location)
		if err != nil {
			return
		}
		if strings.Contains(o.Bucket, "/") || strings.Contains(o.Bucket, "@") || len(o.Prefix) > maxPrefix || strings.Contains("/"+o.Prefix+"/", "/../") {
			t.Fatalf("%q gives %+v", location, o)
		}
		if _, err := newStore(o, defaults); err != nil {
			t.Fatalf("%q parses, and then: %v", location, err)
		}
	})
}
