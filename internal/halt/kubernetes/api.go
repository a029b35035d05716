package kubernetes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/rest"
)

// serviceAccount is where a pod finds what it needs to call its own cluster.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"

// newClient makes the client of a cluster, and the namespace of the workloads. Files but the token's are read now.
func newClient(k safepoint.KubernetesService) (c rest.Client, namespace string, err error) {
	if k.Server == "" {
		host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
		if host == "" || port == "" {
			return c, "", safepoint.Invalid("kubernetes", "kubernetes.server is missing, and this server does not run in a cluster.")
		}
		k.Server = "https://" + net.JoinHostPort(host, port)
		k.CAFile, k.TokenFile = serviceAccount+"ca.crt", serviceAccount+"token"
		if k.Namespace == "" {
			text, err := os.ReadFile(serviceAccount + "namespace")
			if err != nil {
				return c, "", safepoint.Invalid("kubernetes", "kubernetes.namespace is missing, and the service account has none.").WithCause(err)
			}
			k.Namespace = strings.TrimSpace(string(text))
		}
	}
	u, err := url.Parse(k.Server)
	if err != nil || u.Host == "" || u.Scheme != "https" || u.User != nil {
		return c, "", safepoint.Invalid("kubernetes", "kubernetes.server is an address that starts with https://.")
	}
	if (k.TokenFile == "") == (k.CertFile == "") || (k.CertFile == "") != (k.KeyFile == "") {
		return c, "", safepoint.Invalid("kubernetes", "kubernetes has either token_file, or cert_file and key_file.")
	}
	conf, err := rest.TLS(k.CAFile, k.CertFile, k.KeyFile)
	if err != nil {
		return c, "", safepoint.Invalid("kubernetes", "The TLS files of kubernetes cannot be used: %s.", err).WithCause(err)
	}
	c = rest.Client{HTTP: rest.NewHTTP(&http.Transport{TLSClientConfig: conf}), Base: strings.TrimSuffix(k.Server, "/")}
	if k.TokenFile != "" {
		c.Auth = func(header http.Header) error {
			token, err := os.ReadFile(k.TokenFile) // a cluster replaces it about every hour
			if err != nil {
				return safepoint.Errorf(safepoint.CodeHalt, "The token of Kubernetes cannot be read.").WithHint("Check kubernetes.token_file in the operator's file.").WithCause(err)
			}
			header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
			return nil
		}
	}
	return c, k.Namespace, nil
}

// path is where a workload is in the API.
func (h *Halter) path(ref string) string {
	kind, name, _ := strings.Cut(ref, "/")
	return "/apis/apps/v1/namespaces/" + h.namespace + "/" + resources[kind] + "/" + name
}

func (h *Halter) get(ctx context.Context, ref string) (w workload, err error) {
	if err := h.api.Do(ctx, http.MethodGet, h.path(ref), "", nil, &w); err != nil {
		return w, fmt.Errorf("look at %s: %w", ref, err)
	}
	return w, nil
}

// pods counts those of a workload that may still be working, the ones that are ending among them: the controllers no
// longer count these.
func (h *Halter) pods(ctx context.Context, w workload) (n int, err error) {
	selector := w.Spec.Selector.String()
	if selector == "" {
		return 0, h.failed("%s: a workload without a selector cannot be halted.", h.service.Name)
	}
	var list struct {
		Items []struct{ Status struct{ Phase string } }
	}
	if err := h.api.Do(ctx, http.MethodGet, "/api/v1/namespaces/"+h.namespace+"/pods?labelSelector="+url.QueryEscape(selector), "", nil, &list); err != nil {
		return 0, fmt.Errorf("list pods of %s: %w", halt.OneLine(selector), err)
	}
	for _, p := range list.Items {
		if p.Status.Phase != "Succeeded" && p.Status.Phase != "Failed" {
			n++
		}
	}
	return n, nil
}
