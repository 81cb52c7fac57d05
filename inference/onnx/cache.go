package onnx

import (
	"container/list"
	"sync"
	"weak"

	"pixano/inference"
)

// cache keeps what encoders computed of pictures, the latest used ones. The zero value keeps nothing.
type cache struct {
	limit int64 // bytes

	mu    sync.Mutex
	bytes int64
	items map[cacheKey]*list.Element
	order list.List // of *cacheItem, the latest used first
}

// cacheKey is a picture for a model: by the name that the caller gave it, or as the very same value.
type cacheKey struct {
	model string
	id    string
	image weak.Pointer[inference.Image]
}

type cacheItem struct {
	key      cacheKey
	features *encoded
}

func keyOf(model string, img *inference.Image) cacheKey {
	if id := img.ID(); id != "" {
		return cacheKey{model: model, id: id}
	}
	return cacheKey{model: model, image: weak.Make(img)}
}

func (c *cache) get(key cacheKey) *encoded {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cacheItem).features
}

func (c *cache) put(key cacheKey, f *encoded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.bytes() > c.limit || c.items[key] != nil {
		return
	}
	if c.items == nil {
		c.items = map[cacheKey]*list.Element{}
	}
	c.items[key] = c.order.PushFront(&cacheItem{key, f})
	c.bytes += f.bytes()
	for c.bytes > c.limit {
		last := c.order.Back()
		item := c.order.Remove(last).(*cacheItem)
		delete(c.items, item.key)
		c.bytes -= item.features.bytes()
	}
}
