package aggregator

import (
	"fmt"
	"sync"

	restful "github.com/emicklei/go-restful"
	"github.com/go-openapi/spec"
	"k8s.io/klog/v2"

	"k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/handler"
)

// BuildAndRegisterAggregator serves the OpenAPI documents of all servers merged into one. Those of the
// servers in this process are looked at when somebody asks for the merged one, not before.
func BuildAndRegisterAggregator(downloader *Downloader, delegationTarget server.DelegationTarget, webServices []*restful.WebService,
	config *common.Config, pathHandler common.PathHandler) (SpecAggregator, error) {
	own, err := builder.BuildOpenAPISpec(webServices, config)
	if err != nil {
		return nil, err
	}
	s := &specAggregator{openAPISpecs: map[string]*openAPISpecInfo{}}
	name := func() string { return fmt.Sprintf(localDelegateChainNamePattern, len(s.openAPISpecs)) }
	s.addLocalSpec(own, nil, name(), "")
	for target := delegationTarget; target != nil; target = target.NextDelegate() {
		if handler := target.UnprotectedHandler(); handler != nil {
			s.addLocalSpec(nil, handler, name(), "")
		}
	}
	local := &localSpecs{aggregator: s, downloader: downloader}
	s.openAPIVersionedService, err = handler.NewOpenAPIServiceOnRequest(&spec.Swagger{}, local.refresh)
	if err != nil {
		return nil, err
	}
	return s, s.openAPIVersionedService.RegisterOpenAPIVersionedService("/openapi/v2", pathHandler)
}

// localSpecs are the documents of the servers in this process.
type localSpecs struct {
	aggregator *specAggregator
	downloader *Downloader

	mutex sync.Mutex
	// unmerged is true while the merged document lacks a change.
	unmerged bool
}

// refresh brings the merged document up to date. One that has not changed costs a comparison of ETags.
func (l *localSpecs) refresh() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, name := range l.aggregator.localNames() {
		handler, etag, _ := l.aggregator.GetAPIServiceInfo(name)
		changed, etag, _, err := l.downloader.Download(handler, etag)
		if err != nil {
			klog.Errorf("The OpenAPI document of %s cannot be read: %v", name, err)
			continue
		}
		if changed != nil {
			l.aggregator.exchangeLocal(name, changed, etag)
			l.unmerged = true
		}
	}
	if l.unmerged {
		if err := l.aggregator.merge(); err != nil {
			klog.Errorf("OpenAPI documents cannot be merged: %v", err)
			return
		}
		l.unmerged = false
	}
}

func (s *specAggregator) localNames() (names []string) {
	s.rwMutex.RLock()
	defer s.rwMutex.RUnlock()
	for name, info := range s.openAPISpecs {
		if IsLocalAPIService(name) && info.handler != nil {
			names = append(names, name)
		}
	}
	return names
}

func (s *specAggregator) exchangeLocal(name string, spec *spec.Swagger, etag string) {
	s.rwMutex.Lock()
	defer s.rwMutex.Unlock()
	s.addLocalSpec(spec, s.openAPISpecs[name].handler, name, etag)
}

func (s *specAggregator) merge() error {
	s.rwMutex.Lock()
	defer s.rwMutex.Unlock()
	return s.updateOpenAPISpec()
}
