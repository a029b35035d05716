package api

import (
	"context"
	"net/http"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

// InService is the input of every route of a service.
type InService struct {
	InOrg
	Service string `path:"service" example:"svc_k3jq7w2mfz5xv4na"`
}

func (a *API) serviceRoutes() {
	const tag = "Services"
	all, one := orgPrefix+"/services", orgPrefix+"/services/{service}"

	handle(a, op(http.MethodGet, all, "list-services", "The services, in the order they are halted", tag),
		func(ctx context.Context, by safepoint.Actor, _ *InOrg) (*body[wire.List[wire.Service]], error) {
			ss, err := a.cfg.App.Services(ctx, by)
			return list(ss, err, wire.FromService)
		})

	type createRequest struct {
		InOrg
		Body wire.ServiceInput
	}
	handle(a, with(http.StatusCreated, change(http.MethodPost, all, "create-service", "Add a service", tag)),
		func(ctx context.Context, by safepoint.Actor, in *createRequest) (*body[wire.Service], error) {
			s, secret, err := a.cfg.App.CreateService(ctx, by, serviceInput(in.Body))
			w := wire.FromService(s)
			w.Secret = secret
			return reply(w, err)
		})

	type orderRequest struct {
		InOrg
		Body wire.ServiceOrder
	}
	handle(a, with(http.StatusNoContent, change(http.MethodPut, all+"/order", "order-services", "Set the order services are halted in", tag)),
		func(ctx context.Context, by safepoint.Actor, in *orderRequest) (*struct{}, error) {
			return nil, a.cfg.App.OrderServices(ctx, by, in.Body.IDs)
		})

	handle(a, op(http.MethodGet, one, "get-service", "A service", tag),
		func(ctx context.Context, by safepoint.Actor, in *InService) (*body[wire.Service], error) {
			s, err := a.cfg.App.Service(ctx, by, in.Service)
			return reply(wire.FromService(s), err)
		})

	type updateRequest struct {
		InService
		Body wire.ServiceInput
	}
	handle(a, change(http.MethodPut, one, "update-service", "Change a service; a secret that is left out is kept", tag),
		func(ctx context.Context, by safepoint.Actor, in *updateRequest) (*body[wire.Service], error) {
			s, err := a.cfg.App.UpdateService(ctx, by, in.Service, serviceInput(in.Body))
			return reply(wire.FromService(s), err)
		})

	handle(a, change(http.MethodDelete, one, "remove-service", "Remove a service; restores no longer halt it", tag),
		func(ctx context.Context, by safepoint.Actor, in *InService) (*struct{}, error) {
			return nil, a.cfg.App.RemoveService(ctx, by, in.Service)
		})

	handle(a, op(http.MethodGet, one+"/status", "get-service-status", "What a service is doing, as it says itself", tag),
		func(ctx context.Context, by safepoint.Actor, in *InService) (*body[wire.ServiceStatus], error) {
			s, err := a.cfg.App.ServiceStatus(ctx, by, in.Service)
			return reply(wire.ServiceStatus{Condition: string(s.Condition), Detail: s.Detail}, err)
		})

	handle(a, change(http.MethodPost, one+"/test", "test-service", "Halt and resume a service now", tag),
		func(ctx context.Context, by safepoint.Actor, in *InService) (*body[wire.ServiceTest], error) {
			t, err := a.cfg.App.TestService(ctx, by, in.Service)
			return reply(wire.ServiceTest{
				Halted: t.Halted, Resumed: t.Resumed, HaltTookSeconds: t.HaltTook.Seconds(),
				ResumeTookSeconds: t.ResumeTook.Seconds(), Failure: wire.FromFailure(t.Failure),
			}, err)
		})

	handle(a, with(http.StatusNoContent, change(http.MethodPost, one+"/resume", "resume-service", "Resume a service by hand, after a restore could not", tag)),
		func(ctx context.Context, by safepoint.Actor, in *InService) (*struct{}, error) {
			return nil, a.cfg.App.ResumeService(ctx, by, in.Service)
		})
}

func serviceInput(in wire.ServiceInput) app.ServiceInput {
	return app.ServiceInput{
		Name: in.Name, Kind: safepoint.ServiceKind(in.Kind), HaltURL: in.HaltURL, ResumeURL: in.ResumeURL, HealthURL: in.HealthURL,
		Host: in.Host, User: in.User, DBName: in.DBName, Port: in.Port,
		Timeout: time.Duration(in.TimeoutSeconds * float64(time.Second)), Secret: in.Secret, Version: in.Version,
	}
}
