package promotionhttp

import (
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// problems are the answers that are none, to any request with a path and method
// that there are. The last come from what stands in front of the API: limits
// and the check of credentials.
func problems() map[int]string {
	return map[int]string{
		http.StatusBadRequest:            "The request makes no sense",
		http.StatusUnauthorized:          "The server does not know who asks",
		http.StatusForbidden:             "Denied by policy or trust: see reasons",
		http.StatusNotFound:              "No such image, version or channel",
		http.StatusConflict:              "The channel moved: see current",
		http.StatusRequestEntityTooLarge: "The body is too large",
		http.StatusRequestURITooLong:     "The query is too long",
		http.StatusUnsupportedMediaType:  "The Content-Type is not application/json",
		http.StatusUnprocessableEntity:   "What is asked for is revoked",
		http.StatusInternalServerError:   "The server or its store is broken",
		http.StatusTooManyRequests:       "Too many failed logins from there: come again later",
		http.StatusServiceUnavailable:    "The server is busy, or cannot check credentials now: come again later",
	}
}

// problemResponses describes the errors, which are the same everywhere but for
// those of bodies.
func problemResponses(api huma.API, method string) map[string]*huma.Response {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	responses := map[string]*huma.Response{}
	for status, what := range problems() {
		if status == http.StatusUnsupportedMediaType && method != http.MethodPost {
			continue
		}
		r := &huma.Response{Description: what, Content: map[string]*huma.MediaType{problemType: {Schema: schema}}}
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			r.Headers = map[string]*huma.Param{"Retry-After": {Description: "In how many seconds", Schema: &huma.Schema{Type: huma.TypeInteger}}}
		}
		responses[strconv.Itoa(status)] = r
	}
	return responses
}
