package server

import (
	"context"
	"log/slog"
	"testing"
)

// TestJobPanics: a job that panics has failed, and the server goes on.
func TestJobPanics(t *testing.T) {
	j := newJobs(slog.New(slog.DiscardHandler))
	job, err := j.start("index", "d", func(context.Context, *running, func(JobProgress)) (any, error) { panic("a mistake") })
	if err != nil {
		t.Fatal(err)
	}
	j.wait.Wait()
	if got, _, err := j.get(job.ID); err != nil || got.State != "failed" || got.Error == "" || got.Ended == nil {
		t.Errorf("%+v, %v", got, err)
	}
	if j.states()["running"] != 0 {
		t.Error("it counts as running")
	}
}
