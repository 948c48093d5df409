package mock

import (
	"context"

	"github.com/penstock/penstock/bench/mock/inference"
)

// predictionService is TensorFlow Serving's: the bytes of the input tensors are the prompt, and the answer has one token unless an
// input named max_tokens says otherwise.
type predictionService struct{ *Server }

var _ inference.Predictions = predictionService{}

func (s predictionService) Predict(ctx context.Context, in *inference.PredictRequest) (*inference.PredictResponse, error) {
	c := callOf(ctx)
	model := in.GetModelSpec().GetName()
	if !c.begin() || !c.knows(model) {
		return nil, c.refused
	}
	ask, err := in.Ask()
	if err != nil {
		return nil, invalid(err)
	}
	if ask.MaxTokens == nil {
		ask.MaxTokens = new(1)
	}
	text, ok := c.generate(model, &ask)
	if !ok {
		return nil, c.refused
	}
	return in.Answer(text), nil
}

func (s predictionService) GetModelMetadata(_ context.Context, in *inference.GetModelMetadataRequest) (*inference.GetModelMetadataResponse, error) {
	if model := in.GetModelSpec().GetName(); !s.serves(model) {
		return nil, noSuchModel(model)
	}
	return in.Answer(), nil
}
