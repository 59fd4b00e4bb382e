package handler

import (
	"sync"
	"time"

	"github.com/go-openapi/spec"
	jsoniter "github.com/json-iterator/go"
	"k8s.io/klog/v2"
)

// OpenAPIService serves an OpenAPI document that may be exchanged meanwhile. A media type of the
// document is written when somebody first asks for it: an API server that starts is asked for little.
type OpenAPIService struct {
	mutex   sync.RWMutex
	current *document
	// refresh is called before the document is served, and may exchange it. It may be nil.
	refresh func()
}

// NewOpenAPIServiceOnRequest serves a document that refresh brings up to date when somebody asks for it.
func NewOpenAPIServiceOnRequest(spec *spec.Swagger, refresh func()) (*OpenAPIService, error) {
	o := &OpenAPIService{refresh: refresh}
	return o, o.UpdateSpec(spec)
}

// document is what one UpdateSpec brought.
type document struct {
	lastModified   time.Time
	json, protobuf form
}

// form is a document in one media type. Its bytes are nil if it cannot be written.
type form struct {
	once  sync.Once
	write func() ([]byte, error)
	bytes []byte
	etag  string
}

func (f *form) get() ([]byte, string) {
	f.once.Do(func() {
		bytes, err := f.write()
		if err != nil {
			klog.Errorf("The OpenAPI document cannot be written: %v", err)
			return
		}
		f.bytes, f.etag = bytes, computeETag(bytes)
	})
	return f.bytes, f.etag
}

// UpdateSpec exchanges the document.
func (o *OpenAPIService) UpdateSpec(swagger *spec.Swagger) error {
	next := &document{lastModified: time.Now()}
	next.json.write = func() ([]byte, error) {
		return jsoniter.ConfigCompatibleWithStandardLibrary.Marshal(swagger)
	}
	next.protobuf.write = func() ([]byte, error) {
		bytes, _ := next.json.get()
		var values map[string]interface{}
		if err := jsoniter.ConfigCompatibleWithStandardLibrary.Unmarshal(bytes, &values); err != nil {
			return nil, err
		}
		return ToProtoBinary(values)
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.current = next
	return nil
}

func (o *OpenAPIService) served() *document {
	if o.refresh != nil {
		o.refresh()
	}
	o.mutex.RLock()
	defer o.mutex.RUnlock()
	return o.current
}

func (o *OpenAPIService) getSwaggerBytes() ([]byte, string, time.Time) {
	served := o.served()
	bytes, etag := served.json.get()
	return bytes, etag, served.lastModified
}

func (o *OpenAPIService) getSwaggerPbBytes() ([]byte, string, time.Time) {
	served := o.served()
	bytes, etag := served.protobuf.get()
	return bytes, etag, served.lastModified
}
