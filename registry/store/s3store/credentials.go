package s3store

import (
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// metadataTimeout bounds a question to the machine's metadata service: on a
// machine that has none it would hang.
const metadataTimeout = 3 * time.Second

// chain is the usual search for credentials: AWS_ACCESS_KEY_ID and
// AWS_SECRET_ACCESS_KEY, AWS's config and credentials files (AWS_PROFILE), and
// the role of the machine, container or web identity.
func chain() *credentials.Credentials {
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	if !strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") || os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" {
		providers = append(providers, &credentials.IAM{Client: &http.Client{Timeout: metadataTimeout}})
	}
	return credentials.NewChainCredentials(providers)
}

// region is where the bucket is said to be; "" is for the client to ask.
func (o Options) region() string {
	for _, r := range []string{o.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")} {
		if r != "" {
			return r
		}
	}
	if o.Endpoint != "" {
		return "us-east-1"
	}
	return ""
}
