// Package kubernetes halts Deployments and StatefulSets by scaling them to 0, and scales them back to what they were.
//
// The number of replicas before is an annotation of the workload, written in the same request that scales it down: it is
// there exactly if the workload is halted, also for a Safepoint that has lost its catalog. A workload is halted when none
// of its pods is left, not when the controller has heard of it.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/rest"
)

// ReplicasBefore is the annotation of a halted workload, OperationOf that which names the restore that halted it.
const (
	ReplicasBefore = "safepoint.dev/replicas-before"
	OperationOf    = "safepoint.dev/halted-by"
)

const defaultTimeout = 2 * time.Minute

// resources are the kinds of workloads, as the operator's file and as the API names them.
var resources = map[string]string{"deployment": "deployments", "statefulset": "statefulsets"}

// Halter scales workloads of one namespace. It is safe for concurrent use.
type Halter struct {
	service   safepoint.Service
	namespace string
	workloads []string // "deployment/web"
	api       rest.Client
}

var _ halt.Halter = (*Halter)(nil)

// New makes the halter of s. It connects to nothing. What is wrong with s is a *safepoint.Error on the field "kubernetes".
func New(s safepoint.Service) (*Halter, error) {
	if s.Operator == nil || s.Operator.Kubernetes == nil {
		return nil, safepoint.Invalid("kubernetes", "Services of kind kubernetes are declared in the operator's file.")
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	k := *s.Operator.Kubernetes
	h := &Halter{service: s, workloads: k.Workloads}
	if len(k.Workloads) == 0 {
		return nil, safepoint.Invalid("kubernetes", "kubernetes.workloads names none.")
	}
	for i, w := range k.Workloads {
		kind, name, _ := strings.Cut(w, "/")
		if resources[kind] == "" || !isName(name) || slices.Contains(k.Workloads[:i], w) {
			return nil, safepoint.Invalid("kubernetes", "kubernetes.workloads: %q is not like deployment/web or statefulset/queue, or is there twice.", halt.OneLine(w))
		}
	}
	var err error
	if h.api, h.namespace, err = newClient(k); err != nil {
		return nil, err
	}
	if !isName(h.namespace) {
		return nil, safepoint.Invalid("kubernetes", "kubernetes.namespace is missing, or not a namespace's name.")
	}
	return h, nil
}

// isName says whether s can be the name of an object: what it is put into is the path of a URL.
func isName(s string) bool {
	return s != "" && len(s) <= 253 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" && s[0] != '.' && s[0] != '-'
}

// Probe implements halt.Halter. Its Prior names each workload with its replicas; 0 are left as they are.
func (h *Halter) Probe(ctx context.Context) (st halt.Status, err error) {
	err = h.within(ctx, func(ctx context.Context) error {
		var up, ours, unwell []string
		for _, ref := range h.workloads {
			w, err := h.get(ctx, ref)
			if err != nil {
				return err
			}
			_, halted := w.before()
			pods := 0
			if w.replicas() == 0 {
				if pods, err = h.pods(ctx, w); err != nil {
					return err
				}
			}
			switch {
			case w.replicas() > 0:
				up = append(up, ref+"="+strconv.Itoa(w.replicas()))
				if !w.ready() {
					unwell = append(unwell, fmt.Sprintf("%s: %d of %d are ready.", ref, w.Status.ReadyReplicas, w.replicas()))
				}
			case pods > 0:
				up = append(up, ref+"=0") // it is on its way down
				unwell = append(unwell, fmt.Sprintf("%s: %d of its pods are still ending.", ref, pods))
			case halted:
				ours = append(ours, ref)
			}
		}
		st = halt.Status{Condition: halt.Running, Prior: halt.Parts(up)}
		switch {
		case len(up) == 0 && len(ours) > 0:
			st.Condition = halt.Halted
		case len(up) == 0:
			st.Condition, st.Detail = halt.Down, "Scaled to 0."
		case len(unwell) > 0:
			st.Condition, st.Detail = halt.Failing, halt.OneLine(strings.Join(unwell, " "))
		case len(up) < len(h.workloads):
			st.Detail = fmt.Sprintf("%d of %d workloads run.", len(up), len(h.workloads))
		}
		return nil
	})
	if err != nil {
		st = halt.Status{Condition: halt.Unknown}
	}
	return st, err
}

// Halt implements halt.Halter.
func (h *Halter) Halt(ctx context.Context, r halt.Request) error {
	return h.within(ctx, func(ctx context.Context) error {
		for _, ref := range h.workloads {
			if err := h.down(ctx, ref, r); err != nil {
				return err
			}
		}
		for _, ref := range h.workloads {
			w, err := h.get(ctx, ref)
			if err != nil {
				return err
			}
			if w.replicas() > 0 {
				return h.failed("%s was scaled to 0, and something scaled %s up again.", h.service.Name, ref).
					WithHint("Look for what manages its replicas: an autoscaler with a minimum of its own, or a tool that syncs from Git.")
			}
		}
		return nil
	})
}

// down scales one workload to 0, remembering what it had, and waits until none of its pods is left.
func (h *Halter) down(ctx context.Context, ref string, r halt.Request) error {
	err := h.change(ctx, ref, func(w workload) map[string]any {
		if w.replicas() == 0 {
			return nil // it is down already, by us or by others
		}
		return map[string]any{
			"metadata": map[string]any{"annotations": map[string]any{ReplicasBefore: strconv.Itoa(w.replicas()), OperationOf: r.OperationID}},
			"spec":     map[string]any{"replicas": 0},
		}
	})
	if err != nil {
		return err
	}
	return halt.Again(ctx, func(ctx context.Context) (bool, error) {
		w, err := h.get(ctx, ref)
		if err != nil {
			return rest.Passing(err), err
		}
		pods, err := h.pods(ctx, w)
		if err != nil {
			return rest.Passing(err), err
		}
		if w.replicas() > 0 {
			return false, h.failed("%s was scaled to 0, and something scaled %s up again.", h.service.Name, ref)
		}
		if pods > 0 || w.Status.Replicas > 0 || w.Status.ObservedGeneration < w.Metadata.Generation {
			return true, h.failed("%s did not halt within %s: %d pods of %s are still there.", h.service.Name, halt.Seconds(h.service.Timeout), pods, ref).
				WithHint("Give it more time than the pods' terminationGracePeriodSeconds.")
		}
		return false, nil
	})
}

// Resume implements halt.Halter. The annotation comes before what the caller remembers: it was written later.
func (h *Halter) Resume(ctx context.Context, r halt.Request) error {
	prior, known := halt.RanBefore(r.Prior)
	return h.within(ctx, func(ctx context.Context) error {
		for _, ref := range slices.Backward(h.workloads) {
			if err := h.up(ctx, ref, remembered(prior, ref), known); err != nil {
				return err
			}
		}
		return nil
	})
}

// remembered is how many replicas of a workload a Prior names, 0 if none.
func remembered(prior []string, ref string) int {
	for _, p := range prior {
		if name, n, ok := strings.Cut(p, "="); ok && name == ref {
			count, _ := strconv.Atoi(n)
			return count
		}
	}
	return 0
}

// up scales one workload back and waits until all of it is ready.
func (h *Halter) up(ctx context.Context, ref string, remembered int, known bool) error {
	lost := false
	err := h.change(ctx, ref, func(w workload) map[string]any {
		before, halted := w.before()
		if !halted {
			before = remembered
		}
		forget := map[string]any{"annotations": map[string]any{ReplicasBefore: nil, OperationOf: nil}}
		switch {
		case w.replicas() > 0 && halted: // somebody was quicker; their number stays
			return map[string]any{"metadata": forget}
		case w.replicas() > 0:
			return nil
		case before > 0:
			return map[string]any{"metadata": forget, "spec": map[string]any{"replicas": before}}
		}
		lost = !known
		return nil
	})
	switch {
	case err != nil:
		return err
	case lost:
		return h.failed("%s: %s is scaled to 0, and nobody remembers how many replicas it had.", h.service.Name, ref).
			WithHint("Scale it up by hand: kubectl -n %s scale %s --replicas=N.", h.namespace, ref)
	}
	return halt.Again(ctx, func(ctx context.Context) (bool, error) {
		w, err := h.get(ctx, ref)
		if err != nil {
			return rest.Passing(err), err
		}
		if !w.ready() {
			return true, h.failed("%s did not resume within %s: %d of %d pods of %s are ready.", h.service.Name, halt.Seconds(h.service.Timeout), w.Status.ReadyReplicas, w.replicas(), ref).
				WithHint("kubectl -n %s describe %s and the pods' logs say why.", h.namespace, ref)
		}
		return false, nil
	})
}

// change applies to one workload what patch says of it as it is, nothing if that is nil. If somebody else changes it in
// between, it is looked at again.
func (h *Halter) change(ctx context.Context, ref string, patch func(workload) map[string]any) error {
	return halt.Again(ctx, func(ctx context.Context) (bool, error) {
		w, err := h.get(ctx, ref)
		if err != nil {
			return rest.Passing(err), err
		}
		p := patch(w)
		if p == nil {
			return false, nil
		}
		// The version makes the server refuse the patch with 409 if the workload is no longer what was looked at.
		meta, _ := p["metadata"].(map[string]any)
		meta["resourceVersion"] = w.Metadata.ResourceVersion
		if err := h.api.Do(ctx, http.MethodPatch, h.path(ref), "application/merge-patch+json", p, nil); err != nil {
			return rest.Passing(err), fmt.Errorf("scale %s: %w", ref, err)
		}
		return false, nil
	})
}

// within runs fn within the service's timeout, and says in words what went wrong.
func (h *Halter) within(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, h.service.Timeout)
	defer cancel()
	err := fn(ctx)
	var plain *safepoint.Error
	if err == nil || errors.As(err, &plain) {
		return err
	}
	name := h.service.Name
	e := safepoint.Errorf(safepoint.CodeUnreachable, "%s: the Kubernetes API at %s could not be reached.", name, h.api.Base).
		WithHint("Check the server's address, its certificate authority and the network.")
	switch status := rest.Status(err); {
	case status == http.StatusUnauthorized:
		e = h.failed("%s: the Kubernetes API did not accept the token or certificate.", name).WithHint("Check kubernetes.token_file, or the certificate, in the operator's file.")
	case status == http.StatusForbidden:
		e = h.failed("%s: the Kubernetes API refused: %s.", name, words(err)).
			WithHint("Let its account get and patch these workloads and list pods in %s: docs/services.md has the role.", h.namespace)
	case status != 0:
		e = h.failed("%s: the Kubernetes API refused: %s.", name, words(err)).WithHint("Check the namespace %s and the names in the operator's file.", h.namespace)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s: the Kubernetes API did not answer within %s.", name, halt.Seconds(h.service.Timeout))
	case ctx.Err() != nil:
		e = h.failed("The command to %s was stopped.", name)
	}
	return e.WithCause(err)
}

func words(err error) string { return halt.OneLine(strings.TrimSuffix(err.Error(), ".")) }

func (h *Halter) failed(format string, args ...any) *safepoint.Error {
	return safepoint.Errorf(safepoint.CodeHalt, format, args...)
}

// workload is what the API says of a Deployment or StatefulSet.
type workload struct {
	Metadata struct {
		ResourceVersion string
		Generation      int64
		Annotations     map[string]string
	}
	Spec struct {
		Replicas *int // absent means 1
		Selector selector
	}
	Status struct {
		ObservedGeneration int64
		Replicas           int
		ReadyReplicas      int
	}
}

func (w workload) replicas() int {
	if w.Spec.Replicas == nil {
		return 1
	}
	return *w.Spec.Replicas
}

// before is how many replicas it had when it was halted, false if it is not halted.
func (w workload) before() (n int, halted bool) {
	n, err := strconv.Atoi(w.Metadata.Annotations[ReplicasBefore])
	return n, err == nil && n > 0
}

func (w workload) ready() bool {
	return w.Status.ObservedGeneration >= w.Metadata.Generation && w.Status.ReadyReplicas >= w.replicas()
}

// selector is that of a workload for its pods.
type selector struct {
	MatchLabels      map[string]string
	MatchExpressions []struct {
		Key, Operator string
		Values        []string
	}
}

// String is the selector as a query has it.
func (s selector) String() string {
	var terms []string
	for k, v := range s.MatchLabels {
		terms = append(terms, k+"="+v)
	}
	for _, e := range s.MatchExpressions {
		switch e.Operator {
		case "In":
			terms = append(terms, e.Key+" in ("+strings.Join(e.Values, ",")+")")
		case "NotIn":
			terms = append(terms, e.Key+" notin ("+strings.Join(e.Values, ",")+")")
		case "Exists":
			terms = append(terms, e.Key)
		case "DoesNotExist":
			terms = append(terms, "!"+e.Key)
		}
	}
	slices.Sort(terms)
	return strings.Join(terms, ",")
}
