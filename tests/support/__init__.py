"""What several tests share: databases, servers, images, and the service itself."""
