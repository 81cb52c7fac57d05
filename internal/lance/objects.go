package lance

import (
	"context"
	"net/url"
	"time"
)

// Objects reads and writes plain objects beside the tables of a [Connection], on local disks and object
// stores alike, with the connection's credentials. Paths are relative to its URI, with "/" between their
// parts; ".." is refused. An [Error] has the path in its Op.
//
// It is safe for concurrent use, and closed with its connection.
type Objects struct {
	c *Connection
}

// Object describes one object.
type Object struct {
	Path     string
	Size     int64
	Modified time.Time // in UTC, to the millisecond
	ETag     string    // changes with the content; "" where the store has none
}

type objectJSON struct {
	Path       string `json:"path"`
	Size       int64  `json:"size"`
	ModifiedMS int64  `json:"modified_ms"`
	ETag       string `json:"etag"`
}

func (o objectJSON) object() Object {
	return Object{Path: plain(o.Path), Size: o.Size, Modified: fromMillis(o.ModifiedMS), ETag: o.ETag}
}

type objectRequest struct {
	Op        string `json:"op"`
	Path      string `json:"path,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
	Length    *int64 `json:"length,omitempty"`
	Prefix    string `json:"prefix,omitempty"`
	Recursive bool   `json:"recursive"`
	Limit     int    `json:"limit,omitempty"`
}

func (o *Objects) call(ctx context.Context, what string, request objectRequest, body []byte) (reply, error) {
	return o.c.h.call(ctx, fnObjects, args{op: what, request: request, body: body})
}

// Get reads an object. Without one at the path the error matches [ErrNotFound].
func (o *Objects) Get(ctx context.Context, path string) ([]byte, error) {
	answer, err := o.call(ctx, place("get", path), objectRequest{Op: "get", Path: path}, nil)
	return answer.data, err
}

// GetRange reads length bytes of an object from offset on, or fewer where it ends before; a negative length
// reads to the end.
func (o *Objects) GetRange(ctx context.Context, path string, offset, length int64) ([]byte, error) {
	request := objectRequest{Op: "get", Path: path, Offset: &offset}
	if length >= 0 {
		request.Length = &length
	}
	answer, err := o.call(ctx, place("get", path), request, nil)
	return answer.data, err
}

// Head describes an object without reading it.
func (o *Objects) Head(ctx context.Context, path string) (Object, error) {
	var answer objectJSON
	request := objectRequest{Op: "head", Path: path}
	err := o.c.h.json(ctx, fnObjects, args{op: place("head", path), request: request}, &answer)
	object := answer.object()
	object.Path = path
	return object, err
}

// ListOptions are the options of [Objects.List].
type ListOptions struct {
	Flat  bool // only the objects directly below the prefix, and the names of the folders beside them
	Limit int  // at most so many objects; 0: all
}

// ObjectList is what [Objects.List] found.
type ObjectList struct {
	Objects  []Object // sorted by path
	Prefixes []string // sorted; only with ListOptions.Flat
}

// List lists the objects below a folder, "" for all. A folder that does not exist is empty.
func (o *Objects) List(ctx context.Context, prefix string, opts *ListOptions) (ObjectList, error) {
	if opts == nil {
		opts = &ListOptions{}
	}
	var answer struct {
		Objects  []objectJSON `json:"objects"`
		Prefixes []string     `json:"prefixes"`
	}
	request := objectRequest{Op: "list", Prefix: prefix, Recursive: !opts.Flat, Limit: opts.Limit}
	if err := o.c.h.json(ctx, fnObjects, args{op: place("list", prefix), request: request}, &answer); err != nil {
		return ObjectList{}, err
	}
	var list ObjectList
	for _, prefix := range answer.Prefixes {
		list.Prefixes = append(list.Prefixes, plain(prefix))
	}
	for _, object := range answer.Objects {
		list.Objects = append(list.Objects, object.object())
	}
	return list, nil
}

// Put writes an object, as a whole or not at all, over what may be there.
func (o *Objects) Put(ctx context.Context, path string, data []byte) error {
	_, err := o.call(ctx, place("put", path), objectRequest{Op: "put", Path: path}, data)
	return err
}

// PutIfAbsent writes an object unless there is one, when the error matches [ErrExists]. Of several callers
// at once, also in several processes, one succeeds.
func (o *Objects) PutIfAbsent(ctx context.Context, path string, data []byte) error {
	_, err := o.call(ctx, place("put", path), objectRequest{Op: "put_if_absent", Path: path}, data)
	return err
}

// Delete removes an object. Without one at the path the error matches [ErrNotFound].
func (o *Objects) Delete(ctx context.Context, path string) error {
	_, err := o.call(ctx, place("delete", path), objectRequest{Op: "delete", Path: path}, nil)
	return err
}

// plain gives a listed path as callers write it: the engine's own form escapes what is not ASCII.
func plain(path string) string {
	if decoded, err := url.PathUnescape(path); err == nil {
		return decoded
	}
	return path
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
