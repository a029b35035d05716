# make help lists the targets. CI runs `.ci/run`, which calls lint, build and test from here.

ADDR   ?= 127.0.0.1:8321
DATA   ?= ./data
PG     ?=
ROUNDS ?= 1
SWITCHES  ?= 500
PGBOUNCER ?= 100
UNDOS     ?= 500
SCHEDULES ?= 1000
MUTATIONS ?= 10000
SEEDS     ?= 20
COUNTS    ?= atonce switches pgbouncer undos mutations schedules
SCALE  ?= 75
SIZE   ?= $(if $(QUICK),0.1,1)
REPS   ?= $(if $(QUICK),1,5)
REPS_LOAD ?= $(if $(QUICK),1,3)
ONLY   ?= dump,load,tables,pages
ENTRIES ?= $(if $(QUICK),20000,1000000)
ASKED  ?= $(if $(QUICK),10,100)
TABLES ?= $(if $(QUICK),1000,10000)
JOBS   ?= 2
MATCH  ?=
MODULE ?=
DIR    ?=
OUT    ?= $(if $(filter 1 1.0,$(SIZE)),docs/benchmarks,tmp/bench)
CACHE  := $(CURDIR)/.cache
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# One static file. With a C compiler it compresses with libzstd, without one in Go: docs/decisions/0010-libzstd.md.
export CGO_ENABLED ?= $(if $(GOOS)$(GOARCH),0,$(if $(shell command -v $(CC)),1,0))
# As libzstd's own makefile does: a whole dump takes 2 to 3 % less time than with Go's -O2.
export CGO_CFLAGS ?= -O3 -g
# The same for every target, so that build, checks and tests compile each package once. VCS stamping is off because it fails in
# a checkout that another user owns; the version is passed instead.
TAGS  := netgo,osusergo
FLAGS := -trimpath -buildvcs=false -tags=$(TAGS)
export GOFLAGS ?= $(FLAGS)
STATIC := $(if $(filter 1,$(CGO_ENABLED)),-linkmode external -extldflags "-static")
BUILD := go build $(FLAGS) -ldflags '-s -w $(STATIC) -X github.com/safepoint-db/safepoint/internal/cli.Version=$(VERSION)'

STATICCHECK_VERSION := v0.8.2
STATICCHECK := $(CACHE)/bin/staticcheck-$(STATICCHECK_VERSION)
SOURCES = $(shell find . -name '*.go' -not -path './.cache/*' -not -path './tmp/*' -not -path './data/*')

.PHONY: help build demo run test tools lint cross fmt race soak reliability fidelity measure pictures bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/safepoint, one static file
	$(BUILD) -o bin/safepoint ./cmd/safepoint

demo: build ## start everything with a sample shop on ADDR (127.0.0.1:8321); PG=1 adds a throwaway PostgreSQL
	@exec bin/safepoint demo --addr $(ADDR) $(if $(filter-out 0 no false,$(PG)),--postgres)

run: build ## start the server on ADDR with its data in DATA (./data)
	@exec bin/safepoint serve --addr $(ADDR) --data $(DATA)

test: tools ## install what the tests need where allowed, then go vet and every test
	go vet ./...
	go test -vet=off -timeout 20m ./... # it would do a part of go vet once more
	CGO_ENABLED=$(if $(filter 1,$(CGO_ENABLED)),0,1) go test ./internal/archive # the other compressor

tools: ## install what the tests need, or say exactly what is missing
	@scripts/install-test-tools

lint: $(STATICCHECK) cross ## gofmt, go vet (also with fault points), staticcheck, other systems, and the arrows between packages
	@bad=$$(gofmt -l $(SOURCES)); if [ -n "$$bad" ]; then echo "gofmt would change these files; run make fmt:"; echo "$$bad"; exit 1; fi
	go vet ./...
	go vet -tags faultpoints,$(TAGS) ./...
	$(STATICCHECK) ./...
	go test -count=1 ./internal

cross: ## compile for other systems, in a hurry: nobody runs what comes out
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go build -gcflags='all=-N -l' -o /dev/null ./cmd/safepoint
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -gcflags='all=-N -l' -o /dev/null ./cmd/safepoint

$(STATICCHECK):
	@mkdir -p $(@D)
	GOBIN=$(@D)/$(STATICCHECK_VERSION) go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
	@mv $(@D)/$(STATICCHECK_VERSION)/staticcheck $@ && rmdir $(@D)/$(STATICCHECK_VERSION)

fmt: ## format every Go file
	gofmt -w $(SOURCES)

race: tools ## every test under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -timeout 60m ./...

# What is published is measured on a disk. Tests make their clusters in memory, where they can.
soak reliability measure: export SAFEPOINT_PG_DIR := /var/tmp

soak: tools ## break everything at every named point, ROUNDS times each (1); KIND MODE ENGINE POINT SEED choose, PATIENCE waits longer, OUT gets the figures
	@mkdir -p tmp
	go test -c -o tmp/soak.test ./internal/soak
	cd internal/soak && ../../tmp/soak.test -test.v -test.timeout 0 -test.run 'TestPointsAreComplete|TestSoak' -rounds $(ROUNDS) \
		-kind '$(KIND)' -mode '$(MODE)' -engine '$(ENGINE)' -point '$(POINT)' $(if $(SEED),-seed $(SEED)) $(if $(PATIENCE),-patience $(PATIENCE)) $(if $(filter command line,$(origin OUT)),-out '$(abspath $(OUT))')

reliability: tools ## count what is promised, COUNTS of it, into docs/reliability.md: SEEDS SWITCHES PGBOUNCER UNDOS MUTATIONS SCHEDULES
	@missed=; for count in $(COUNTS); do \
		case $$count in \
		atonce) set -- ./internal/many -run 'TestAtOnce|TestImpossible' -seeds $(SEEDS) ;; \
		switches) set -- ./internal/many -run TestSwitches -switches $(SWITCHES) ;; \
		pgbouncer) set -- ./internal/many -run TestThroughPgBouncer -pgbouncer $(PGBOUNCER) ;; \
		undos) set -- ./internal/many -run TestUndos -undos $(UNDOS) ;; \
		mutations) set -- ./internal/e2e -run TestMutations -mutations $(MUTATIONS) ;; \
		schedules) set -- ./internal/jobs -run TestYears -schedules $(SCHEDULES) -years 10 ;; \
		*) echo "there is no count called $$count"; exit 2 ;; \
		esac; \
		go test "$$@" -report '$(CURDIR)/docs/reliability.md' -count=1 -v -timeout 0 || missed="$$missed $$count"; \
	done; \
	if [ -n "$$missed" ]; then echo "missed:$$missed"; exit 1; fi; echo "every goal is met: $(COUNTS)"

fidelity: tools ## compare hundreds of generated databases and PostgreSQL's own regression database with their copies
	SAFEPOINT_FIDELITY=1 go test ./internal/engine/postgres -count=1 -v -timeout 0 -run 'Version|Generated|Regression|TooLarge|Among|Zoo|Columns|Public|HangsOn'

measure: tools ## back up and restore pgbench at SCALE (75: about 1 GiB), and print times and peak memory
	SAFEPOINT_MEASURE=$(SCALE) go test ./internal/measure -count=1 -v -timeout 0

pictures: tools ## take the pictures of the README and of the help from a running demo, into docs/img and docs/help/pictures
	PICTURES=1 go test ./internal/browsertest -count=1 -v -run TestPictures

bench: tools ## dump and load beside the peers, and the pages; QUICK=1 takes two minutes; SIZE REPS REPS_LOAD ONLY TABLES JOBS ENTRIES ASKED DIR OUT
	go run -buildvcs=false ./internal/bench/cmd -size $(SIZE) -reps $(REPS) -reps-load $(REPS_LOAD) -only $(ONLY) -entries $(ENTRIES) -asked $(ASKED) -tables $(TABLES) -jobs $(JOBS) $(if $(MATCH),-match '$(MATCH)') $(if $(DIR),-dir '$(DIR)') $(if $(MODULE),-module '$(MODULE)') -out '$(OUT)'

clean: ## remove what make made; data/ stays
	rm -rf bin tmp .cache
