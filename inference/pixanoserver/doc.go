// Package pixanoserver is a provider for Pixano-Inference servers, in the four generations of their protocol:
//
//	generation  servers                        a task is
//	A           releases up to 0.5.6           a job: submitted, then asked for until it is done
//	B           what Pixano's client expects   one request
//	C           heads of March 2026            one request; videos may be jobs
//	D           releases 0.6.0 to 0.7.1        one request under /v1, with keys in camel case; videos may be jobs; embeddings
//
// [Connect] finds out which one a server speaks. Servers that answer a task of B with a job are understood too.
//
// A call whose context ends cancels its job on the server.
package pixanoserver
