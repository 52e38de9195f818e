"""Results of a sweep as text, figures, a page and TensorBoard's logs."""
