package schema

import (
	"math"
	"reflect"
	"slices"

	"pixano/features"
)

// ViewEmbedding is the vector of a view. See [Embedding] for the vector, its dimension and its shape.
//
// Stored as the columns of [Embedding] and, last, struct<name: string, id: string>.
type ViewEmbedding struct {
	Embedding
	ViewRef features.ViewRef `pixano:",optional"`
}

// The names of the two columns that every embedding table has.
const (
	vectorColumn = "vector"
	shapeColumn  = "shape"
)

var shapeType = FieldType{Name: TypeInt, Collection: true}

// checkEmbedding holds the rules of embeddings for every way a vector can be kept: the built-in field, a redeclared
// one, the value of a dynamic row. With fill, an empty shape becomes the vector's length.
func checkEmbedding(r record, fill bool) error {
	vi, si := r.index(vectorColumn), r.index(shapeColumn)
	if vi < 0 || r.field(vi).Type.Name != TypeFixedSizeList {
		return nil
	}
	vector := r.at(vi)
	if isNull(vector) {
		return broken(vectorColumn, nil, RuleRequired)
	}
	n := vector.Len()
	if i := indexNaN(vector); i >= 0 {
		return broken(vectorColumn, nil, "want numbers, value %d is NaN", i)
	}
	if si < 0 || r.field(si).Type != shapeType {
		return nil
	}
	shape := r.at(si)
	if shape.Len() == 0 {
		if fill {
			return r.set(si, []int64{int64(n)})
		}
		return nil
	}
	product := int64(1)
	for i := range shape.Len() {
		d := shape.Index(i).Int()
		if d <= 0 || product > math.MaxInt64/d {
			return broken(shapeColumn, shape.Interface(), "want positive sizes with the product %d", n)
		}
		product *= d
	}
	if product != int64(n) {
		return broken(shapeColumn, shape.Interface(), "want a shape of %d values, the vector's length", n)
	}
	return nil
}

// indexNaN returns the place of the first NaN of a vector, -1 if there is none.
func indexNaN(vector reflect.Value) int {
	if v, ok := vector.Interface().([]float32); ok { // what nearly all vectors are
		return slices.IndexFunc(v, func(f float32) bool { return f != f })
	}
	for i := range vector.Len() {
		switch e := vector.Index(i); {
		case e.CanFloat() && math.IsNaN(e.Float()), e.Type() == float16Type && Float16(e.Uint()).IsNaN():
			return i
		}
	}
	return -1
}

// FillShape sets an empty shape of an embedding row to the length of its vector, as reading a table does: tables filled
// by a function store the shape empty. Other rows are left alone. row is a pointer to a struct.
func FillShape(row any) error {
	r, err := open(row)
	if err != nil {
		return err
	}
	return r.fillShape()
}

func (r record) fillShape() error {
	vi, si := r.index(vectorColumn), r.index(shapeColumn)
	if r.group() != GroupEmbeddings || vi < 0 || r.field(vi).Type.Name != TypeFixedSizeList ||
		si < 0 || r.field(si).Type != shapeType {
		return nil
	}
	vector, shape := r.at(vi), r.at(si)
	if isNull(vector) || shape.Len() > 0 {
		return nil
	}
	return r.set(si, []int64{int64(vector.Len())})
}
